package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/exposure"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

func readmeCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "readme",
		Short: "Run the matrix, measure exposure and write both, and the table of stages, into README.md (run at the repository's root)",
		Long: `Run the matrix, measure exposure and write both, and the table of stages, into README.md (run at the
repository's root), and exposure into the file from which pages show it as well.

Where KEYLADDER_MATRIX names a file that ` + "`stages matrix --keep`" + ` wrote, the matrix is taken from there, and
where KEYLADDER_EXPOSURE names one of ` + "`stages exposure --keep`" + `, exposure is.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			stages := catalog.All()
			matrix, err := lab.Kept[manage.Matrix](lab.MatrixKeptIn)
			if errors.Is(err, lab.ErrNotKept) {
				matrix, err = lab.Matrix(c.Context(), stages, nil, nil, lab.Jobs(), progress(c.ErrOrStderr()))
			}
			if err != nil {
				return err
			}
			if err := deviations(c.ErrOrStderr(), stages, matrix); err != nil {
				return err
			}
			exposed, err := measuredExposure(c, stages, matrix)
			if err != nil {
				return err
			}
			const file = "README.md"
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("%w: run this at the root of the repository", err)
			}
			for name, table := range map[string]string{"stages": stageTable(stages), "matrix": matrixTable(stages, matrix), "exposure": exposureTable(stages, exposed)} {
				if text, err = between(text, name, table); err != nil {
					return err
				}
			}
			const command = "go run ./stages readme"
			return errors.Join(
				writeOrCheck(file, text, check, command),
				writeOrCheck(exposure.File, exposed.JSON(), check, command),
			)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; fail when the file is not up to date")
	return c
}

// between replaces what stands between <!-- name --> and <!-- /name -->.
func between(text []byte, name, content string) ([]byte, error) {
	begin, end := []byte("<!-- "+name+" -->\n"), []byte("<!-- /"+name+" -->")
	from, to := bytes.Index(text, begin), bytes.Index(text, end)
	if from < 0 || to < from {
		return nil, fmt.Errorf("README.md has no place between %q and %q", bytes.TrimSpace(begin), end)
	}
	return bytes.Join([][]byte{text[:from+len(begin)], []byte(content), text[to:]}, nil), nil
}

func stageTable(stages catalog.Set) string {
	var b strings.Builder
	b.WriteString("| # | stage | what it adds | |\n|--:|---|---|---|\n")
	for i, title := range catalog.Chapters() {
		fmt.Fprintf(&b, "| | **Chapter %d: %s** | | |\n", i+1, title)
		for _, stage := range stages {
			if stage.Chapter != i+1 {
				continue
			}
			state := "runs"
			if !stage.Built {
				state = "not built yet"
			}
			fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", stage.Number, stage.Slug, stage.Adds, state)
		}
	}
	return b.String()
}

// matrixTable shows what was measured; of stages that are not built it shows what is
// expected, in brackets.
func matrixTable(stages catalog.Set, matrix manage.Matrix) string {
	outcomes, _, _ := arrange(matrix)
	var b strings.Builder
	b.WriteString("| attack |")
	for _, stage := range stages {
		fmt.Fprintf(&b, " %d |", stage.Number)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(stages)) + "\n")
	for _, attack := range catalog.Attacks() {
		fmt.Fprintf(&b, "| `%s` |", attack.Name)
		for _, stage := range stages {
			cell := letter(outcomes[referee.Pair{Stage: stage.Slug, Attack: attack.Name}])
			if expected := attack.Expected(stage); !stage.Built && expected != catalog.NotApplicable {
				cell = "(" + letter(string(expected)) + ")"
			} else if !stage.Built {
				cell = letter(string(expected))
			} else if cell == "S" {
				cell = "**S**"
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// exposureTable shows what was measured.
func exposureTable(stages catalog.Set, table exposure.Table) string {
	var b strings.Builder
	b.WriteString("| what is stolen |")
	for _, stage := range stages {
		fmt.Fprintf(&b, " %d |", stage.Number)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(stages)) + "\n")
	for _, theft := range exposure.Thefts() {
		fmt.Fprintf(&b, "| `%s` (%s): %s |", theft.Name, theft.Position, theft.Loot)
		for _, stage := range stages {
			fmt.Fprintf(&b, " %s |", exposureCell(table, stage, theft))
		}
		b.WriteString("\n")
	}
	return b.String()
}
