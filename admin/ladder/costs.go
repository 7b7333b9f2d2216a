package ladder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"keyladder/internal/deployment"
)

// costs are what `stages bench --keep` has measured.
type costs struct {
	Measured time.Time `json:"measured"`
	Machine  struct {
		OS    string `json:"os"`
		CPU   string `json:"cpu"`
		Cores int    `json:"cores"`
	} `json:"machine"`
	Calls []cost `json:"calls"`
}

// cost is what protection costs a call at a stage.
type cost struct {
	Stage   string  `json:"stage"`
	Path    string  `json:"path"`
	Ratio   float64 `json:"ratio"`    // to the calls a second without protection
	AddedUS float64 `json:"added_us"` // microseconds that it takes longer
}

// readCosts are those of the deployment; nil: nothing was measured.
func readCosts(folder *deployment.Folder) (*costs, error) {
	data, err := os.ReadFile(folder.Path(deployment.BenchFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var measured costs
	if err == nil {
		err = json.Unmarshal(data, &measured)
	}
	if err != nil {
		return nil, fmt.Errorf("read what was measured: %w", err)
	}
	return &measured, nil
}

// at is what was measured at a stage, at the last of the paths: that with the most work behind it.
func (c *costs) at(stage string) *cost {
	if c == nil {
		return nil
	}
	var found *cost
	for i, call := range c.Calls {
		if call.Stage == stage {
			found = &c.Calls[i]
		}
	}
	return found
}
