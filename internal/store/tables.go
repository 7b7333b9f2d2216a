package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm"
)

// made is what made the tables of a database that was empty.
type made struct {
	models     []reflect.Type
	statements string
}

// remembered is what this process has made. A lab has half a dozen databases, and a process many labs.
// To work out their tables from the models anew takes longer than to make them.
var (
	rememberedLock sync.Mutex
	remembered     []made
)

// makeTables brings the tables up to the models. Those of an empty database are made by the same
// statements as those of the empty one with these models before it.
func makeTables(tx *gorm.DB, models []any) error {
	var count int64
	if err := tx.Raw("SELECT count(*) FROM sqlite_master").Scan(&count).Error; err != nil {
		return err
	}
	if count > 0 {
		return tx.AutoMigrate(models...)
	}
	types := make([]reflect.Type, len(models))
	for i, model := range models {
		types[i] = reflect.TypeOf(model)
	}
	if statements, ok := recall(types); ok {
		return tx.Exec(statements).Error
	}
	if err := tx.AutoMigrate(models...); err != nil {
		return err
	}
	var statements []string
	if err := tx.Raw("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid").Scan(&statements).Error; err != nil {
		return fmt.Errorf("read what tables there are: %w", err)
	}
	if len(statements) > 0 {
		remember(made{types, strings.Join(statements, ";\n")})
	}
	return nil
}

func recall(models []reflect.Type) (statements string, ok bool) {
	rememberedLock.Lock()
	defer rememberedLock.Unlock()
	i := slices.IndexFunc(remembered, func(m made) bool { return slices.Equal(m.models, models) })
	if i < 0 {
		return "", false
	}
	return remembered[i].statements, true
}

func remember(m made) {
	rememberedLock.Lock()
	defer rememberedLock.Unlock()
	remembered = append(remembered, m)
}
