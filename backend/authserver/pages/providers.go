package pages

// Names of the fields of the page on which users choose.
const (
	FieldInteraction = "interaction"
	FieldProvider    = "provider"
)

// Choice is the page on which a user chooses who vouches for them.
type Choice struct {
	Site
	Form
	Client    Client // that asks for access
	Providers []ChoiceOfProvider
}

// ChoiceOfProvider is one of those that can be chosen.
type ChoiceOfProvider struct {
	Name  string // that the form sends
	Title string // for people
	Host  string // of the page on which the user signs in
}
