package phone

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"github.com/a-h/templ"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

func stageLabel(stage catalog.Stage) string {
	label := fmt.Sprintf("%d · %s (%s)", stage.Number, stage.Title, stage.Slug)
	if !stage.Built {
		label += ", not built yet"
	}
	return label
}

// noticeRole has screen readers say at once what went wrong, and the rest in turn.
func noticeRole(n *notice) string {
	if n.Good {
		return "status"
	}
	return "alert"
}

// proxyField is what stands in the field for the proxy: where mitmproxy and others
// would be, until something else is set.
func proxyField(proxy string, refused url.Values) string {
	return cmp.Or(refused.Get("proxy"), proxy, "http://127.0.0.1:8081")
}

// invalid marks the field of a form that was refused. The notice says why.
func invalid(refused url.Values, field string) templ.Attributes {
	if !refused.Has(field) {
		return nil
	}
	return templ.Attributes{"aria-invalid": "true", "aria-describedby": "notice"}
}

func hasGenuine(installed []manage.Package, name string) bool {
	return slices.ContainsFunc(installed, func(p manage.Package) bool { return p.Name == name && p.Genuine })
}

// appLabels are what the bank's apps are called, in the order in which they are offered.
var appLabels = []struct{ Name, Label string }{
	{AppName, "Harbour Bank"},
	{OpsName, "Harbour Bank operations"},
}

func appLabel(name string) string {
	for _, app := range appLabels {
		if app.Name == name {
			return app.Label
		}
	}
	return name
}
