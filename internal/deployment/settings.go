package deployment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyladder/internal/statefile"
)

// SettingsFile is the file in a role's folder with the [Settings] that its program has. It is
// made with the deployment, is for people to change, and is read when the program starts.
const SettingsFile = "settings.json"

// Settings are lifetimes and limits.
type Settings struct {
	SessionIdle       time.Duration // how long a user's session lasts without calls
	SessionLifetime   time.Duration // how long it lasts at most
	AdminIdle         time.Duration // how long an admin session lasts without use
	AdminLifetime     time.Duration // how long it lasts at most
	SecretOverlap     time.Duration // how long a replaced client secret is kept, for stages that accept it
	TokenLifetime     time.Duration // of an access token, where it is long
	ShortLifetime     time.Duration // of an access token, where there are refresh tokens
	CodeLifetime      time.Duration // of an authorization code
	PushedLifetime    time.Duration // of an authorization request that an app has pushed
	RefreshIdle       time.Duration // how long a family of refresh tokens lasts without use
	RefreshLifetime   time.Duration // how long it lasts at most
	ClientOverlap     time.Duration // how long a client secret that was replaced is accepted by the authorization server
	TokenLeeway       time.Duration // how far the clock of a token's issuer may be ahead
	SigningKeyOverlap time.Duration // how long the tokens of a signing key that was replaced are accepted
	AttestationRanges int           // of the package, in a challenge
	AttestationBytes  int           // of a range
	AnswerWithin      time.Duration // how long a challenge can be answered
	IntegrityLifetime time.Duration // of a client integrity token
	AddressPerSecond  float64       // calls from one address
	AddressBurst      int
	DevicePerSecond   float64 // requests for tokens of one installation of an app
	DeviceBurst       int
	RatesPerMinute    int // calls of a customer of the third party's rates API
	RatesPerDay       int
	TrafficRecords    int // that a program keeps
}

// DefaultSettings are the settings of a new deployment.
var DefaultSettings = Settings{
	SessionIdle:       15 * time.Minute,
	SessionLifetime:   12 * time.Hour,
	AdminIdle:         2 * time.Hour, // a class is talked to for long
	AdminLifetime:     12 * time.Hour,
	TokenLifetime:     time.Hour,
	ShortLifetime:     time.Minute,
	CodeLifetime:      time.Minute,
	PushedLifetime:    time.Minute,
	RefreshIdle:       24 * time.Hour,
	RefreshLifetime:   30 * 24 * time.Hour,
	ClientOverlap:     time.Hour,
	TokenLeeway:       5 * time.Second,
	SigningKeyOverlap: time.Hour,
	AttestationRanges: 64,
	AttestationBytes:  4096,
	AnswerWithin:      5 * time.Second,
	IntegrityLifetime: time.Minute,
	AddressPerSecond:  20,
	AddressBurst:      60,
	DevicePerSecond:   2,
	DeviceBurst:       20,
	RatesPerMinute:    60,
	RatesPerDay:       5000,
	TrafficRecords:    4096,
}

// ErrSettings means that settings can't be used.
var ErrSettings = errors.New("settings that can't be used")

// Setting is one of the settings, as people read and change it.
type Setting struct {
	Name  string
	What  string
	roles []Role // whose programs have it
	text  func(*Settings) string
	set   func(*Settings, string) error
}

var settings = []Setting{
	durationSetting("session_idle", "how long a user's session lasts without calls", time.Nanosecond, func(s *Settings) *time.Duration { return &s.SessionIdle }, Resource),
	durationSetting("session_lifetime", "how long a user's session lasts at most", time.Nanosecond, func(s *Settings) *time.Duration { return &s.SessionLifetime }, Resource),
	durationSetting("admin_idle", "how long an admin session lasts without use", time.Minute, func(s *Settings) *time.Duration { return &s.AdminIdle }, Admin),
	durationSetting("admin_lifetime", "how long an admin session lasts at most", time.Minute, func(s *Settings) *time.Duration { return &s.AdminLifetime }, Admin),
	durationSetting("secret_overlap", "how long a client secret that was replaced is kept, for stages that still accept it; 0s: not at all", 0, func(s *Settings) *time.Duration { return &s.SecretOverlap }, Resource),
	durationSetting("token_lifetime", "how long an access token is good, where it lives long", time.Second, func(s *Settings) *time.Duration { return &s.TokenLifetime }, Resource, Auth, Lite, Mediator),
	durationSetting("token_lifetime_short", "how long an access token is good, where the app can refresh it", time.Second, func(s *Settings) *time.Duration { return &s.ShortLifetime }, Resource, Auth, Lite, Mediator),
	durationSetting("code_lifetime", "how long an authorization code is good", time.Second, func(s *Settings) *time.Duration { return &s.CodeLifetime }, Auth, Lite, Mediator),
	durationSetting("pushed_lifetime", "how long a page can be opened with the reference to a pushed authorization request", time.Second, func(s *Settings) *time.Duration { return &s.PushedLifetime }, Mediator),
	durationSetting("refresh_idle", "how long a family of refresh tokens lasts without use", time.Second, func(s *Settings) *time.Duration { return &s.RefreshIdle }, Auth, Lite, Mediator),
	durationSetting("refresh_lifetime", "how long a family of refresh tokens lasts at most", time.Second, func(s *Settings) *time.Duration { return &s.RefreshLifetime }, Auth, Lite, Mediator),
	durationSetting("client_secret_overlap", "how long the authorization server keeps a client secret that was replaced; 0s: not at all", 0, func(s *Settings) *time.Duration { return &s.ClientOverlap }, Auth, Lite),
	durationSetting("token_leeway", "how far the clock of a token's issuer may be ahead of the resource server's", 0, func(s *Settings) *time.Duration { return &s.TokenLeeway }, Resource, Mediator),
	durationSetting("signing_key_overlap", "how long the access tokens of a signing key that was replaced are accepted", 0, func(s *Settings) *time.Duration { return &s.SigningKeyOverlap }, Resource, Auth, Lite, Mediator),
	numberSetting("attestation_ranges", "ranges of the package that a challenge asks for", 1, 4096, func(s *Settings) *int { return &s.AttestationRanges }, Attestation),
	numberSetting("attestation_range_bytes", "bytes of each of these ranges", 1, 16384, func(s *Settings) *int { return &s.AttestationBytes }, Attestation),
	durationSetting("attestation_answer_within", "how long the attestation service waits for evidence", time.Millisecond, func(s *Settings) *time.Duration { return &s.AnswerWithin }, Attestation),
	durationSetting("integrity_lifetime", "how long a client integrity token is good", time.Second, func(s *Settings) *time.Duration { return &s.IntegrityLifetime }, Attestation),
	rateSetting("address_per_second", "calls a second from one address, in the long run", func(s *Settings) *float64 { return &s.AddressPerSecond }, Resource, Auth, Lite, Attestation, Mediator),
	numberSetting("address_burst", "calls from one address at once", 1, 1_000_000, func(s *Settings) *int { return &s.AddressBurst }, Resource, Auth, Lite, Attestation, Mediator),
	rateSetting("device_per_second", "requests a second for tokens of one installation of an app, in the long run", func(s *Settings) *float64 { return &s.DevicePerSecond }, Mediator),
	numberSetting("device_burst", "requests for tokens of one installation at once", 1, 1_000_000, func(s *Settings) *int { return &s.DeviceBurst }, Mediator),
	numberSetting("rates_per_minute", "calls a minute of a customer of the third party's rates API", 1, 1_000_000, func(s *Settings) *int { return &s.RatesPerMinute }, Rates),
	numberSetting("rates_per_day", "calls a day of a customer of the third party's rates API", 1, 1_000_000_000, func(s *Settings) *int { return &s.RatesPerDay }, Rates),
	numberSetting("traffic_records", "messages that a program keeps for the pages that show traffic", 64, 1_000_000, func(s *Settings) *int { return &s.TrafficRecords }, Resource, Auth, Lite, Attestation, Mediator, Rates, Phone, Attacker),
}

func durationSetting(name, what string, least time.Duration, field func(*Settings) *time.Duration, roles ...Role) Setting {
	return Setting{
		Name: name, What: what, roles: roles,
		text: func(s *Settings) string { return shortDuration(*field(s)) },
		set: func(s *Settings, text string) error {
			value, err := time.ParseDuration(text)
			if err != nil || value < least {
				return errors.New(`give a time such as "90s", "15m" or "12h"`)
			}
			*field(s) = value
			return nil
		},
	}
}

// rateSetting is a number of something a second.
func rateSetting(name, what string, field func(*Settings) *float64, roles ...Role) Setting {
	return Setting{
		Name: name, What: what, roles: roles,
		text: func(s *Settings) string { return strconv.FormatFloat(*field(s), 'f', -1, 64) },
		set: func(s *Settings, text string) error {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil || !(value > 0) || math.IsInf(value, 0) {
				return errors.New("give a number above 0")
			}
			*field(s) = value
			return nil
		},
	}
}

func numberSetting(name, what string, least, most int, field func(*Settings) *int, roles ...Role) Setting {
	return Setting{
		Name: name, What: what, roles: roles,
		text: func(s *Settings) string { return strconv.Itoa(*field(s)) },
		set: func(s *Settings, text string) error {
			value, err := strconv.Atoi(text)
			if err != nil || value < least || value > most {
				return fmt.Errorf("give a whole number from %d to %d", least, most)
			}
			*field(s) = value
			return nil
		},
	}
}

// shortDuration is a time without the units that are 0: 15m rather than 15m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

// SettingsOf are the settings that a role's program has.
func SettingsOf(role Role) []Setting {
	var of []Setting
	for _, setting := range settings {
		if slices.Contains(setting.roles, role) {
			of = append(of, setting)
		}
	}
	return of
}

// Text is the setting's value.
func (s Setting) Text(values Settings) string { return s.text(&values) }

// Change changes one of the settings of the role, by its name.
func (s *Settings) Change(role Role, name, text string) error {
	var names []string
	for _, setting := range SettingsOf(role) {
		if setting.Name == name {
			if err := setting.set(s, text); err != nil {
				return fmt.Errorf("%w: %s is %q: %w", ErrSettings, name, text, err)
			}
			return nil
		}
		names = append(names, setting.Name)
	}
	return fmt.Errorf("%w: there is no %q: there are %s", ErrSettings, name, strings.Join(names, ", "))
}

// ChangeAll makes those of the changes that are the role's. A name that no role has is an
// error, and so are settings that do not go together.
func (s *Settings) ChangeAll(role Role, changes map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		i := slices.IndexFunc(settings, func(setting Setting) bool { return setting.Name == name })
		if i >= 0 && !slices.Contains(settings[i].roles, role) {
			continue
		}
		if err := s.Change(role, name, changes[name]); err != nil {
			return err
		}
	}
	return s.check()
}

// check is about settings that have to go together.
func (s *Settings) check() error {
	if s.SessionLifetime < s.SessionIdle {
		return fmt.Errorf("%w: session_lifetime (%s) is shorter than session_idle (%s)", ErrSettings, shortDuration(s.SessionLifetime), shortDuration(s.SessionIdle))
	}
	if s.RefreshLifetime < s.RefreshIdle {
		return fmt.Errorf("%w: refresh_lifetime (%s) is shorter than refresh_idle (%s)", ErrSettings, shortDuration(s.RefreshLifetime), shortDuration(s.RefreshIdle))
	}
	if s.AdminLifetime < s.AdminIdle {
		return fmt.Errorf("%w: admin_lifetime (%s) is shorter than admin_idle (%s)", ErrSettings, shortDuration(s.AdminLifetime), shortDuration(s.AdminIdle))
	}
	return nil
}

// Settings reads the settings of the folder's program. A setting that is not in the file, or all where
// there is none, is as in [DefaultSettings]. The error says what to do.
func (f *Folder) Settings() (Settings, error) {
	values := DefaultSettings
	path := f.Path(SettingsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return values, fmt.Errorf("read the settings: %w", err)
	}
	if err := values.read(f.Role, data); err != nil {
		return values, fmt.Errorf("%s: %w\ncorrect the file, or delete it, which brings the defaults back", path, err)
	}
	return values, nil
}

func (s *Settings) read(role Role, data []byte) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return fmt.Errorf("%w: not a JSON object: %w", ErrSettings, err)
	}
	for name, raw := range given {
		text := string(raw)
		if bytes.HasPrefix(raw, []byte(`"`)) {
			if err := json.Unmarshal(raw, &text); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrSettings, name, err)
			}
		}
		if err := s.Change(role, name, text); err != nil {
			return err
		}
	}
	return s.check()
}

// file is the settings of a role as the file has them.
func (s *Settings) file(role Role) []byte {
	var text strings.Builder
	text.WriteString("{")
	for i, setting := range SettingsOf(role) {
		if i > 0 {
			text.WriteString(",")
		}
		value := setting.text(s)
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&text, "\n  %q: %s", setting.Name, value)
	}
	text.WriteString("\n}\n")
	return []byte(text.String())
}

// WriteSettings writes the settings of the folder's program, if it has any.
func (f *Folder) WriteSettings(values Settings) error {
	if len(SettingsOf(f.Role)) == 0 {
		return nil
	}
	if err := values.check(); err != nil {
		return err
	}
	if err := statefile.Write(f.Path(SettingsFile), values.file(f.Role)); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}

// Settings writes the settings of the role's program, if it has any. The manifest does not
// list them: people may change them.
func (w *Writer) Settings(role Role, values Settings) error {
	return (&Folder{Role: role, Dir: w.dir}).WriteSettings(values)
}
