package sessions

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// List is all sessions that are good at that time, the latest first.
func (s *Store) List(at time.Time) []manage.Session {
	list, err := s.Query(context.Background(), at, manage.SessionQuery{})
	if err != nil {
		panic(err)
	}
	return list.Sessions
}

// Crowd writes so many sessions of as many users into a database.
func Crowd(db *gorm.DB, count int, at time.Time) error {
	rows := make([]row, count)
	for i := range rows {
		digest := sha256.Sum256(fmt.Append(nil, i))
		rows[i] = row{
			ID: fmt.Sprintf("S%05d", i), Digest: digest[:], User: fmt.Sprintf("user-%05d", i), App: "harbour-mobile", Stage: "user-session",
			Device: fmt.Sprintf("phone-%05d", i), CreatedAt: at.Add(time.Duration(-i)), LastUsedAt: at,
		}
	}
	return db.CreateInBatches(rows, 500).Error
}
