package catalog

import (
	"slices"
	"strings"
)

// Outcome is what an attack achieves at a stage.
type Outcome string

// The outcomes. [Inconclusive] is never expected: it means that the attack could
// not be decided, for example because something else was broken.
const (
	Succeeds      Outcome = "succeeds"
	Blocked       Outcome = "blocked"
	NotApplicable Outcome = "n/a"
	NotBuilt      Outcome = "not built"
	Inconclusive  Outcome = "inconclusive"
)

// Position is where the attacker stands; it decides what the attack is given.
type Position string

// The positions.
const (
	Anyone       Position = "anyone"               // the public addresses, and sending others links to them
	OnPath       Position = "on the path"          // carries the victim's connections
	OwnDevice    Position = "own device"           // a phone of one's own, with the package on it
	PackageFile  Position = "package"              // a copy of the package, as the store hands it out
	AccessLog    Position = "access log"           // a copy of the server's access log
	LogAfterTLS  Position = "log after TLS"        // what a machine behind the TLS terminator logs, and sending from there
	Terminator   Position = "a bad TLS terminator" // changes calls after TLS ends
	LookAlike    Position = "look-alike app"
	StorageCopy  Position = "copy of the app's storage"
	UserAgentSpy Position = "spy in the user agent"
	SchemeThief  Position = "malicious app on the same scheme"
	SpyAndThief  Position = "spy in the user agent, and malicious app on the same scheme" // on the victim's phone, and a phone of one's own
)

// Goal is what an attack is after. The referee checks it on the server's side.
type Goal string

// The goals.
const (
	// BookTransfer: a program that is not the app books a transfer.
	BookTransfer Goal = "book a transfer with a program that is not the app"
	// RobVictim: money leaves the victim's account for the attacker's.
	RobVictim Goal = "move the victim's money to the attacker's account"
	// ReadData: a program that is not the app gets data that only the API holds.
	ReadData Goal = "read a customer's data with a program that is not the app"
	// ExceedLimit: more calls are served than the rate limit lets through.
	ExceedLimit Goal = "be served more calls than the rate limit allows"
	// ChangePayee: the victim's own payment goes to the attacker.
	ChangePayee Goal = "change the payee of the victim's payment"
	// RepeatPayment: the victim's own payment is booked again.
	RepeatPayment Goal = "have the victim's payment booked twice"
	// PassAppLimit: the app, no longer as it was shipped, books more than it would.
	PassAppLimit Goal = "be served through the app, but not as it was shipped"
	// LaterStage is the goal of attacks whose stages are not built yet.
	LaterStage Goal = ""
)

// Attack is one way to get past the protection, and what it must achieve.
type Attack struct {
	Name     string
	Position Position
	Summary  string
	Goal     Goal

	outcomes  row
	blockedBy []blockedBy // in order of the stage from which they hold
}

// row is a row of the matrix: one letter a stage, S succeeds, b blocked, . does not
// apply, with spaces between chapters. It is not parsed where it is written, so that
// the table is data, which the app's program does not carry along.
type row string

// at is the letter of the stage with that number; 0: there is none.
func (r row) at(number int) byte {
	letters := strings.ReplaceAll(string(r), " ", "")
	if number < 1 || number > len(letters) {
		return 0
	}
	return letters[number-1]
}

// blockedBy is the check that stops an attack from a stage on.
type blockedBy struct {
	from  int
	check Check
}

// Expectation is what an attack must achieve at a stage.
type Expectation struct {
	Outcome Outcome
	By      Check // the check that stops it; empty: it is not blocked
}

// Expected is what the attack must achieve at the stage.
func (a Attack) Expected(stage Stage) Outcome { return a.expectation(stage).Outcome }

// BlockedBy is the check that must stop the attack at the stage; empty where none
// is expected to.
func (a Attack) BlockedBy(stage Stage) Check { return a.expectation(stage).By }

func (a Attack) expectation(stage Stage) Expectation {
	if stage.Outcomes != nil {
		if expected, ok := stage.Outcomes[a.Name]; ok {
			return expected
		}
		return Expectation{Outcome: NotApplicable}
	}
	switch a.outcomes.at(stage.Number) {
	case 'S':
		return Expectation{Outcome: Succeeds}
	case '.':
		return Expectation{Outcome: NotApplicable}
	case 'b':
		expected := Expectation{Outcome: Blocked}
		for _, b := range a.blockedBy {
			if b.from <= stage.Number {
				expected.By = b.check
			}
		}
		return expected
	}
	return Expectation{Outcome: Inconclusive}
}

// AsExpected tells whether an outcome, and the check that blocked (empty: none did), are
// those that the attack must have at the stage. Nobody expects to be left undecided.
func (a Attack) AsExpected(stage Stage, outcome Outcome, check Check) bool {
	return outcome != Inconclusive && outcome == a.Expected(stage) && (outcome != Blocked || check == a.BlockedBy(stage))
}

// Attacks are all attacks, in the order of the matrix.
func Attacks() []Attack { return slices.Clone(attacks) }

// LookupAttack finds an attack by its name.
func LookupAttack(name string) (Attack, bool) {
	i := slices.IndexFunc(attacks, func(a Attack) bool { return a.Name == name })
	if i < 0 {
		return Attack{}, false
	}
	return attacks[i], true
}

// Done is the goal in the past tense, for verdicts.
func (g Goal) Done() string {
	switch g {
	case BookTransfer:
		return "a program that is not the app booked a transfer"
	case RobVictim:
		return "the victim's money went to the attacker's account"
	case ReadData:
		return "a program that is not the app read the customer's data"
	case ExceedLimit:
		return "more calls were served than the rate limit allows"
	case ChangePayee:
		return "the victim's payment went to the attacker"
	case RepeatPayment:
		return "the victim's payment was booked more than once"
	case PassAppLimit:
		return "the app was served, but not as it was shipped"
	}
	return ""
}
