// Package enforcement knows what becomes of what is found out about apps, stage by stage: who fails
// for it, and what is only watched. It begins as the catalog has it, and the admin changes it while
// the service runs. Each change is a version, and each result names the one that it was made by.
package enforcement

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/level"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Policy is what is in force at a stage. It is never changed; another version is another value.
type Policy struct {
	Version int
	Claims  map[manage.ClaimName]catalog.Claim // all
	since   *time.Time
	history []manage.EnforcementVersion // the oldest first
}

// row is a version of a stage's policy. The first is the catalog's, and has none.
type row struct {
	Stage         string        `gorm:"primaryKey"`
	Version       int           `gorm:"primaryKey"`
	At            time.Time     `gorm:"not null"`
	Executables   catalog.Claim `gorm:"not null"`
	Runtime       catalog.Claim `gorm:"not null"`
	Configuration catalog.Claim `gorm:"not null"`
	Instance      catalog.Claim `gorm:"not null"`
}

func (row) TableName() string { return "enforcement" }

// Models are the table of versions.
func Models() []any { return []any{&row{}} }

// Store is the policies of one service. It is safe for concurrent use.
type Store struct {
	db     *gorm.DB
	stages catalog.Set // that have attestation
	now    func() time.Time

	changing sync.Mutex
	mu       sync.RWMutex
	current  map[string]*Policy
}

// Open opens the policies of stages in a database that has [Models]' table. Now may be nil.
func Open(ctx context.Context, db *gorm.DB, stages catalog.Set, now func() time.Time) (*Store, error) {
	if now == nil {
		now = time.Now
	}
	s := &Store{db: db, now: now}
	for _, stage := range stages.Built() {
		if level.Offered(stage.Policies) {
			s.stages = append(s.stages, stage)
		}
	}
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("open what is enforced: %w", err)
	}
	return s, nil
}

func (s *Store) load(ctx context.Context) error {
	var rows []row
	err := s.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error { // from the connection that writes
		return tx.Order("version").Find(&rows).Error
	})
	if err != nil {
		return err
	}
	current := map[string]*Policy{}
	for _, stage := range s.stages {
		first := manage.EnforcementVersion{Version: 1, Claims: claimsOf(stage.Attestation)}
		current[stage.Slug] = &Policy{Version: first.Version, Claims: first.Claims, history: []manage.EnforcementVersion{first}}
	}
	for _, r := range rows {
		if old := current[r.Stage]; old != nil {
			next := manage.EnforcementVersion{Version: r.Version, At: &r.At, Claims: claimsOf(r.attestation())}
			current[r.Stage] = &Policy{Version: next.Version, since: next.At, Claims: next.Claims, history: append(old.history, next)}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = current
	return nil
}

func claimsOf(a catalog.Attestation) map[manage.ClaimName]catalog.Claim {
	return map[manage.ClaimName]catalog.Claim{
		manage.Executables: a.Executables, manage.Runtime: a.Runtime, manage.Configuration: a.Configuration, manage.Instance: a.Instance,
	}
}

func (r row) attestation() catalog.Attestation {
	return catalog.Attestation{Executables: r.Executables, Runtime: r.Runtime, Configuration: r.Configuration, Instance: r.Instance}
}

// At is what is in force at a stage; nil: nobody attests there.
func (s *Store) At(stage string) *Policy {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current[stage]
}

// Judge is what becomes of a verdict: all claims, whether the app gets a token that is good, and
// whether it does though something was wrong.
//
//keyladder:code attestation-enforce
func (p *Policy) Judge(v level.Verdict) (claims []manage.AttestedClaim, good, watched bool) {
	good = true
	for _, name := range manage.ClaimNames() {
		claim := manage.AttestedClaim{Claim: name, Policy: p.Claims[name], Trust: manage.Affirming, Findings: []manage.Finding{}}
		switch wrong := len(v[name]) > 0; {
		case claim.Policy == catalog.NotLookedAt:
			claim.Trust = manage.NotLookedAt
		case claim.Policy == catalog.Watched && wrong:
			claim.Trust, claim.Findings, watched = manage.Warning, v[name], true
		case wrong: // whatever it is that was decided
			claim.Trust, claim.Findings, good = manage.Contraindicated, v[name], false
		}
		claims = append(claims, claim)
	}
	return claims, good, good && watched
}

// Errors of [Store.Set].
var (
	ErrStage = errors.New("nobody attests at that stage")
	ErrClaim = errors.New("that can't be decided about the claim") // and the text says why
)

// All is what is in force everywhere, in the order of the stages.
func (s *Store) All() []manage.Enforcement {
	all := []manage.Enforcement{}
	for _, stage := range s.stages {
		all = append(all, s.show(stage))
	}
	return all
}

func (s *Store) show(stage catalog.Stage) manage.Enforcement {
	p := s.At(stage.Slug)
	looked, _ := level.Of(stage.Attestation.Level)
	return manage.Enforcement{
		Stage: stage.Slug, Level: stage.Attestation.Level, Version: p.Version, Since: p.since,
		Claims: maps.Clone(p.Claims), Catalog: claimsOf(stage.Attestation),
		Reports: slices.Clone(looked.Reports), History: slices.Clone(p.history),
	}
}

// Set decides about a claim at a stage, from the next attestation on. What is so already is no
// version.
func (s *Store) Set(ctx context.Context, to manage.EnforcementChange) (manage.Enforcement, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	i := slices.IndexFunc(s.stages, func(stage catalog.Stage) bool { return stage.Slug == to.Stage })
	if i < 0 {
		return manage.Enforcement{}, ErrStage
	}
	stage := s.stages[i]
	old := s.At(stage.Slug)
	if _, ok := old.Claims[to.Claim]; !ok {
		return manage.Enforcement{}, fmt.Errorf("%w: there is no claim %q", ErrClaim, to.Claim)
	}
	if old.Claims[to.Claim] == to.Policy {
		return s.show(stage), nil
	}
	found, _ := level.Of(stage.Attestation.Level)
	switch {
	case to.Policy != catalog.Enforced && to.Policy != catalog.Watched && to.Policy != catalog.NotLookedAt:
		return manage.Enforcement{}, fmt.Errorf("%w: it is %s, %s or %s", ErrClaim, catalog.Enforced, catalog.Watched, catalog.NotLookedAt)
	case to.Policy != catalog.NotLookedAt && !slices.Contains(found.Reports, to.Claim):
		return manage.Enforcement{}, fmt.Errorf("%w: at the level %s apps report nothing about it", ErrClaim, found.Name)
	}
	claims := maps.Clone(old.Claims)
	claims[to.Claim] = to.Policy
	err := s.db.WithContext(context.WithoutCancel(ctx)).Create(&row{
		Stage: stage.Slug, Version: old.Version + 1, At: s.now().UTC(),
		Executables: claims[manage.Executables], Runtime: claims[manage.Runtime],
		Configuration: claims[manage.Configuration], Instance: claims[manage.Instance],
	}).Error
	if err == nil {
		err = s.load(ctx)
	}
	if err != nil {
		return manage.Enforcement{}, fmt.Errorf("change what is enforced: %w", err)
	}
	return s.show(stage), nil
}

// Reset has all as the catalog has it.
func (s *Store) Reset(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	err := s.db.WithContext(context.WithoutCancel(ctx)).Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&row{}).Error
	if err == nil {
		err = s.load(ctx)
	}
	if err != nil {
		return fmt.Errorf("reset what is enforced: %w", err)
	}
	return nil
}
