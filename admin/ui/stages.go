package ui

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/stages/catalog"
)

// Stage is the stage under a slug, or an error for a page.
func Stage(stages catalog.Set, slug string) (catalog.Stage, error) {
	stage, ok := stages.Lookup(slug)
	if !ok {
		return stage, echo.NewHTTPError(http.StatusNotFound, "There is no stage of this name. The stages are: "+stages.Slugs()+".")
	}
	return stage, nil
}

// BuiltStage is the stage under a slug when it can be used, or an error for a page.
func BuiltStage(stages catalog.Set, slug string) (catalog.Stage, error) {
	stage, err := Stage(stages, slug)
	if err == nil && !stage.Built {
		err = echo.NewHTTPError(http.StatusConflict, fmt.Sprintf("Stage %d (%s) is declared, but not built yet. Choose one of the built stages.", stage.Number, stage.Slug))
	}
	return stage, err
}

// StageOptions are stages to choose from, or all.
func StageOptions(stages catalog.Set) []NavItem {
	options := []NavItem{{Path: "", Label: "all"}}
	for _, stage := range stages {
		options = append(options, NavItem{Path: stage.Slug, Label: N(stage.Number) + " " + stage.Title})
	}
	return options
}

// stageNumbers names stages by their numbers: "4, 5 and 6".
func stageNumbers(stages catalog.Set) string {
	numbers := make([]string, len(stages))
	for i, stage := range stages {
		numbers[i] = N(stage.Number)
	}
	last := len(numbers) - 1
	if last < 1 {
		return strings.Join(numbers, "")
	}
	return strings.Join(numbers[:last], ", ") + " and " + numbers[last]
}

// StagesInWords is "stage 4" or "stages 4, 5 and 6".
func StagesInWords(stages catalog.Set) string {
	if len(stages) == 1 {
		return "stage " + stageNumbers(stages)
	}
	return "stages " + stageNumbers(stages)
}
