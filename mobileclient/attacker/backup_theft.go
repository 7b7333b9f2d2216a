package attacker

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// backupTheft has a copy of what the app stores on the victim's phone: from a backup, a
// lost laptop, a repair shop. In it is what makes the app remember its user. The rest,
// the app's own secrets, is the same in every copy of the app, so it comes out of the
// memory of the one on the attacker's phone.
//
//keyladder:code attack-backup-theft
func backupTheft(ctx context.Context, g *Ground) (Result, error) {
	stolen := &loot{}
	for _, name := range slices.Sorted(maps.Keys(g.Storage)) {
		g.Say("In the copy of the victim's storage: %s, %d bytes.", name, len(g.Storage[name]))
		stolen.searchStored(g.Storage[name])
	}
	g.Say("Found in it: %d session keys and %d registered installations.", len(stolen.sessions), len(stolen.devices))
	if len(stolen.sessions) == 0 {
		return Result{Check: catalog.CheckHidden, Obstacle: "what the app stores on the victim's phone stands for nobody"}, nil
	}
	phone, found, err := g.hook(ctx)
	if err != nil {
		return stopped(err)
	}
	defer phone.close()
	tries := found.identities(g.Stage.Call)
	if len(tries) == 0 {
		return Result{}, errors.New("the app's own secrets were not found in its memory")
	}
	return robAs(ctx, g, lifted(tries, stolen))
}

// searchStored looks through something that an app has stored.
func (l *loot) searchStored(data []byte) {
	var item struct {
		Session    string `json:"session_key"`
		Identifier string `json:"identifier"`
		GUID       string `json:"guid"`
	}
	if json.Unmarshal(data, &item) != nil {
		return
	}
	if key, err := session.ParseKey(item.Session); err == nil {
		l.sessions = addNew(l.sessions, key)
	}
	if item.Identifier != "" && item.GUID != "" {
		l.devices = addNew(l.devices, installation{item.Identifier, item.GUID})
	}
}
