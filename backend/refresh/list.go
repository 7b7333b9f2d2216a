package refresh

import (
	"cmp"
	"context"
	"fmt"

	"gorm.io/gorm"

	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var sorts = store.Sorts{
	"user": "user", "client": "client", "stage": "stage", "begun": "begun_at", "used": "used_at", "number": "number",
}

// fit are the rows that a filter means.
func (s *Store) fit(db *gorm.DB, f manage.FamilyFilter) *gorm.DB {
	query := db.Model(&familyRow{})
	for column, value := range map[string]string{"user": f.User, "client": f.Client, "stage": f.Stage, "origin": f.Origin} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.Search != "" {
		has := store.Contains(f.Search)
		query = query.Where(`(user LIKE ? ESCAPE '\' OR client LIKE ? ESCAPE '\' OR id = ?)`, has, has, f.Search)
	}
	switch alive := s.alive(s.config.Now().UTC()); f.State {
	case "good":
		query = query.Where(live, alive...)
	case "revoked":
		query = query.Where("revoked_at IS NOT NULL")
	case "reused":
		query = query.Where("reused")
	case "expired":
		query = query.Where("revoked_at IS NULL AND NOT ("+live+")", alive...)
	}
	return query
}

// Query lists families with their generations, as the database has them. An error is
// [store.ErrSort], or one of the database.
func (s *Store) Query(ctx context.Context, q manage.FamilyQuery) (manage.FamilyList, error) {
	db := s.db.WithContext(ctx)
	rows, total, err := store.List[familyRow](s.fit(db, q.FamilyFilter), sorts, store.Part{
		Sort: cmp.Or(q.Sort, "-begun"), From: q.From, Limit: cmp.Or(q.Limit, manage.MostListed),
	})
	if err != nil {
		return manage.FamilyList{}, fmt.Errorf("list the families of refresh tokens: %w", err)
	}
	families, err := s.families(db, rows)
	return manage.FamilyList{Families: families, Total: total}, err
}

// OfOrigins are the families that came of these authorization codes, by the IDs of the codes.
func (s *Store) OfOrigins(ctx context.Context, origins ...string) (map[string]manage.Family, error) {
	db := s.db.WithContext(ctx)
	var rows []familyRow
	if err := db.Where("origin IN ?", origins).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("find the families of refresh tokens: %w", err)
	}
	families, err := s.families(db, rows)
	of := make(map[string]manage.Family, len(families))
	for _, family := range families {
		of[family.Origin] = family
	}
	return of, err
}

// families are rows with their generations.
func (s *Store) families(db *gorm.DB, rows []familyRow) ([]manage.Family, error) {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	var tokens []tokenRow
	err := db.Select("t.*").Table("refresh_tokens t").Joins("JOIN refresh_families f ON f.id = t.family").
		Where("f.id IN ? AND (t.number > f.number - ? OR t.reused_at IS NOT NULL)", ids, manage.MostGenerations).
		Order("t.number DESC").Find(&tokens).Error
	if err != nil {
		return nil, fmt.Errorf("list the refresh tokens: %w", err)
	}
	generations := map[string][]manage.Generation{}
	for _, t := range tokens {
		generations[t.Family] = append(generations[t.Family], t.manage())
	}
	families := make([]manage.Family, len(rows))
	for i, row := range rows {
		families[i] = s.manage(row, generations[row.ID])
	}
	return families, nil
}

// Count is how many families of refresh tokens that are good each user has.
func (s *Store) Count(ctx context.Context) (map[string]int, error) {
	byUser, err := store.CountByUser(s.fit(s.db.WithContext(ctx), manage.FamilyFilter{State: "good"}))
	if err != nil {
		return nil, fmt.Errorf("count the families of refresh tokens: %w", err)
	}
	return byUser, nil
}
