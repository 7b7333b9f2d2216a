package byhand

import (
	"strings"
	"testing"

	"keyladder/stages/catalog"
)

// Every attack that is carried out by a program can be carried out by a person, too, and what
// they type has all its blanks filled in. TestStepsByHand types it.
func TestEveryAttackHasSteps(t *testing.T) {
	t.Parallel()
	for _, stage := range catalog.All().Built() {
		for _, attack := range catalog.Attacks() {
			if attack.Expected(stage) == catalog.NotApplicable {
				continue
			}
			steps := strings.Join(Steps(attack, stage), "\n")
			if !strings.Contains(steps, "`") || strings.Count(steps, "`")%2 != 0 {
				t.Errorf("%s at %s: there is nothing to type in %q", attack.Name, stage.Slug, steps)
			}
			for _, blank := range []string{"{api}", "{curl}", "{fetch}", "{cert}", "{field}", "{sign}", "{seal}", "{rob}", "{attack}", "{stage}", "{package}", "{here}", "{proof}", "{as alice}", "{as mallory}", "{tokens}", "{open}", "{answer}", "{forged proof}", "{own payment}"} {
				if strings.Contains(steps, blank) {
					t.Errorf("%s at %s: %s is left blank in %s", attack.Name, stage.Slug, blank, steps)
				}
			}
		}
	}
}
