package deployment

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	changed := DefaultSettings
	changed.SessionIdle, changed.AddressPerSecond, changed.TrafficRecords = time.Minute, 2.5, 100
	for _, test := range []struct {
		name    string
		role    Role
		file    string // "-": there is none
		want    Settings
		problem string // in the error; empty: there must be none
	}{
		{name: "none", role: Resource, file: "-", want: DefaultSettings},
		{name: "empty", role: Resource, file: "{}", want: DefaultSettings},
		{name: "changed", role: Resource, file: `{"session_idle": "1m", "address_per_second": 2.5, "traffic_records": "100"}`, want: changed},
		{name: "no overlap", role: Resource, file: `{"secret_overlap": "0s"}`, want: DefaultSettings},
		{name: "unknown", role: Resource, file: `{"session_idel": "1m"}`, problem: `no "session_idel": there are session_idle, session_lifetime`},
		{name: "of another role", role: Phone, file: `{"session_idle": "1m"}`, problem: `no "session_idle": there are traffic_records`},
		{name: "no time", role: Resource, file: `{"session_idle": 60}`, problem: `session_idle is "60": give a time such as "90s"`},
		{name: "no time at all", role: Resource, file: `{"session_idle": "0s"}`, problem: "session_idle"},
		{name: "negative", role: Resource, file: `{"secret_overlap": "-1s"}`, problem: "secret_overlap"},
		{name: "nothing a second", role: Resource, file: `{"address_per_second": 0}`, problem: "give a number above 0"},
		{name: "no number", role: Resource, file: `{"address_per_second": "NaN"}`, problem: "give a number above 0"},
		{name: "too many", role: Attacker, file: `{"traffic_records": 1e9}`, problem: "give a whole number from 64 to 1000000"},
		{name: "null", role: Resource, file: `{"address_burst": null}`, problem: "give a whole number"},
		{name: "contradiction", role: Resource, file: `{"session_idle": "2h", "session_lifetime": "1h"}`, problem: "session_lifetime (1h) is shorter than session_idle (2h)"},
		{name: "the admin's", role: Admin, file: `{"admin_idle": "1h", "admin_lifetime": "30m"}`, problem: "admin_lifetime (30m) is shorter than admin_idle (1h)"},
		{name: "cut off", role: Resource, file: `{"session_idle": "1m"`, problem: "not a JSON object"},
		{name: "empty file", role: Resource, file: "", problem: "not a JSON object"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := &Folder{Role: test.role, Dir: t.TempDir()}
			if test.file != "-" {
				if err := os.WriteFile(folder.Path(SettingsFile), []byte(test.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := folder.Settings()
			if test.problem == "" {
				if err != nil || got != test.want {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			for _, part := range []string{test.problem, folder.Path(SettingsFile), "delete it"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want %q in it", err, part)
				}
			}
			if !errors.Is(err, ErrSettings) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What is written is read back, whatever the program.
func TestSettingsAreReadBack(t *testing.T) {
	t.Parallel()
	for _, program := range Programs() {
		folder := &Folder{Role: program.Role, Dir: t.TempDir()}
		want := DefaultSettings
		for name, text := range map[string]string{"session_idle": "1h30m", "secret_overlap": "24h", "address_per_second": "0.5", "traffic_records": "64"} {
			if err := want.Change(program.Role, name, text); err != nil && program.Role == Resource {
				t.Fatal(err)
			}
		}
		if err := folder.WriteSettings(want); err != nil {
			t.Fatal(err)
		}
		if got, err := folder.Settings(); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", program.Role, got, err, want)
		}
		if _, err := os.Stat(folder.Path(SettingsFile)); (err == nil) != (len(SettingsOf(program.Role)) > 0) {
			t.Errorf("%s has a file: %v", program.Role, err)
		}
	}
}
