package person

import (
	"maps"
	"slices"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// Person is somebody who uses the bank's app.
type Person struct {
	Name, Password string

	// Used is how the bank's app has had them sign in so far; empty: they do not know it yet.
	// An app that asks in another way gets no password.
	Used device.SignInWay

	// Provider is whose page they sign in on, by its name or its title, where they are asked; empty:
	// [HomeProvider].
	Provider string
	// Once is for somebody who does not want to stay signed in: an app that asks for the
	// password itself is told to keep nothing that stands for them in its storage.
	Once bool
}

// HomeProvider is the name of the bank's own authorization server among the providers of an issuer
// that has several.
const HomeProvider = catalog.Bank

// People are the passwords of the workshop's people, by their names.
type People map[string]string

// Known reads what the people of a deployment know.
func Known(folder *deployment.Folder) (People, error) {
	var people People
	err := folder.JSON("passwords.json", &people)
	return people, err
}

// Named is the person of that name. One that is not known has no password.
func (p People) Named(name string) Person { return Person{Name: name, Password: p[name]} }

// Names are the names of all, in order.
func (p People) Names() []string { return slices.Sorted(maps.Keys(p)) }
