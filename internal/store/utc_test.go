package store

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"
)

type event struct {
	Name string `gorm:"primaryKey"`
	At   time.Time
	End  *time.Time
}

// Times of machines in different zones are compared as times, whichever way they are written,
// and in whichever zone somebody asks.
func TestTimesInAnyZone(t *testing.T) {
	t.Parallel()
	honolulu, tokyo := time.FixedZone("Honolulu", -10*3600), time.FixedZone("Tokyo", 9*3600)
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for name, session := range map[string]gorm.Session{"plain": {}, "prepared": {PrepareStmt: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := Open(filepath.Join(t.TempDir(), "x.db"), &event{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { Close(db) })
			db = db.Session(&session)
			late := noon.Add(time.Second).In(honolulu)
			write := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			write(db.Create(&event{Name: "second", At: late, End: &late}).Error)
			write(db.Create(&event{Name: "first", At: noon.In(tokyo)}).Error)
			write(db.Create(&event{Name: "third", At: noon}).Error)
			write(db.Model(&event{}).Where("name = ?", "third").Update("at", noon.Add(2*time.Second).In(tokyo)).Error)
			for _, zone := range []*time.Location{time.UTC, honolulu, tokyo} {
				var before, order []string
				write(db.Model(&event{}).Where("at < ?", noon.Add(1500*time.Millisecond).In(zone)).Order("at").Pluck("name", &before).Error)
				write(db.Model(&event{}).Order("at").Pluck("name", &order).Error)
				if want := []string{"first", "second", "third"}; !slices.Equal(order, want) || !slices.Equal(before, want[:2]) {
					t.Errorf("asked from %v: %v, in all %v", zone, before, order)
				}
			}
			var texts []string
			write(db.Raw("SELECT CAST(at AS TEXT) FROM events ORDER BY at").Scan(&texts).Error)
			if want := []string{"2026-11-21 12:00:00+00:00", "2026-11-21 12:00:01+00:00", "2026-11-21 12:00:02+00:00"}; !slices.Equal(texts, want) {
				t.Errorf("written as %v", texts)
			}
			var second event
			write(db.First(&second, "name = ?", "second").Error)
			if !second.At.Equal(late) || second.End == nil || !second.End.Equal(late) {
				t.Errorf("read as %+v", second)
			}
		})
	}
}
