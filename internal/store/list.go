package store

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gorm.io/gorm"

	"keyladder/internal/problem"
)

// ErrSort means that a list can't be sorted like that; the text says how it can.
var ErrSort = errors.New("the list can't be sorted like that")

// Problem tells whoever asked for a list what was wrong; other errors are ours.
func Problem(err error) error {
	if errors.Is(err, ErrSort) {
		return problem.New(http.StatusBadRequest, "bad-request", "The request can't be read", err.Error())
	}
	return err
}

// Sorts are the columns that a list can be sorted by, under the names that callers use.
type Sorts map[string]string

// Part is the part of a list that is wanted. Sort is a name of [Sorts], with a "-" in front of
// it for the other way round.
type Part struct {
	Sort        string
	From, Limit int // so many rows are passed over, and at most so many read
}

// List reads a part of a query's rows, and says how many there are in all. Rows that are equal
// in what they are sorted by are sorted by their column id, so that a page does not show what
// the one before has shown.
func List[T any](query *gorm.DB, sorts Sorts, part Part) (rows []T, total int, err error) {
	name, descending := strings.CutPrefix(part.Sort, "-")
	column, ok := sorts[name]
	if !ok {
		return nil, 0, fmt.Errorf("%w: there is no %q", ErrSort, name)
	}
	if descending {
		column += " DESC"
	}
	var count int64
	query = query.Session(&gorm.Session{})
	if err := query.Count(&count).Error; err != nil {
		return nil, 0, err
	}
	err = query.Order(column).Order("id").Offset(part.From).Limit(part.Limit).Find(&rows).Error
	return rows, int(count), err
}

// CountByUser counts a query's rows by their column user.
func CountByUser(query *gorm.DB) (map[string]int, error) {
	var counts []struct {
		User  string
		Count int
	}
	if err := query.Select("user, COUNT(*) AS count").Group("user").Find(&counts).Error; err != nil {
		return nil, err
	}
	byUser := make(map[string]int, len(counts))
	for _, c := range counts {
		byUser[c.User] = c.Count
	}
	return byUser, nil
}

// Contains is what a column is compared with, by LIKE ? ESCAPE '\', to have a text somewhere.
// Small and capital letters of ASCII are the same.
func Contains(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text) + "%"
}
