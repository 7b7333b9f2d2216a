package scene

import (
	"crypto/rand"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
)

// maxMade is how many identifiers are kept in mind for whoever asks; the oldest go first.
const maxMade = 10_000

// installations are the identifiers that were made for phones and programs of this station. Who
// runs attacks on a deployment that others use, too, marks what they leave behind there.
type installations struct {
	mu   sync.Mutex
	made []manage.Installation
}

// maker makes random identifiers for a stage, as devices do, and keeps them in mind.
func (i *installations) maker(stage string) func() string {
	return func() string {
		identifier := rand.Text()
		i.mu.Lock()
		defer i.mu.Unlock()
		i.made = append(i.made, manage.Installation{Stage: stage, Identifier: identifier})
		i.made = i.made[max(0, len(i.made)-maxMade):]
		return identifier
	}
}

// take are those that were made since it was called last.
func (i *installations) take() []manage.Installation {
	i.mu.Lock()
	defer i.mu.Unlock()
	made := i.made
	i.made = nil
	return append([]manage.Installation{}, made...)
}

func (s *Station) serveInstallations(c echo.Context) error {
	return c.JSON(http.StatusOK, s.installations.take())
}
