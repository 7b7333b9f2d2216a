package bench

import (
	"os"
	"runtime"
	"strings"
)

// Machine is what was measured on: without it the numbers say little.
type Machine struct {
	OS    string `json:"os"`  // linux/amd64
	CPU   string `json:"cpu"` // its model; empty where the system does not tell it
	Cores int    `json:"cores"`
	Go    string `json:"go"` // go1.26.0
}

func thisMachine() Machine {
	return Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: model(), Cores: runtime.NumCPU(), Go: runtime.Version()}
}

// model is the processor's, as Linux has it.
func model() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
