package traffic

import (
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/traffic"
)

func TestStolenTextIsMarked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text   string
		stolen []string
		want   string
	}{
		{"key harbour-mobile\n", []string{"harbour-mobile"}, "key [harbour-mobile]\n"},
		{"a=1&b=12", []string{"1", "12"}, "a=[1]&amp;b=[12]"},
		{"<b><b>", []string{"<b>"}, "[&lt;b&gt;][&lt;b&gt;]"},
		{"nothing", []string{"", "x"}, "nothing"},
		{"", []string{"x"}, ""},
	} {
		got := strings.NewReplacer(`<mark class="stolen" title="an attack has stolen this">`, "[", "</mark>", "]").Replace(marked(tt.text, tt.stolen))
		if got != tt.want {
			t.Errorf("%q without %q: %q, want %q", tt.text, tt.stolen, got, tt.want)
		}
	}
}

// An attack's picture says where what it stole stands, whether the attacker sent it, and what
// was booked.
func TestStolenAndBookedInThePicture(t *testing.T) {
	t.Parallel()
	d := layOut([]record{
		{Message: traffic.Message{Lane: traffic.App, Kind: traffic.Request, Exchange: "1", From: "app", To: "resource", Head: "Authorization: key harbour-mobile"}},
		{Message: traffic.Message{Lane: traffic.App, Kind: traffic.Request, Exchange: "2", From: "attacker", To: "resource", Head: "Authorization: key harbour-mobile"}},
		{Message: traffic.Message{Lane: traffic.App, Kind: traffic.Response, Exchange: "2", From: "resource", To: "attacker", Body: []byte("{}")}},
	}, nil)
	before := d.Height
	d.mark([]string{"harbour-mobile"})
	d.book([]manage.Transfer{{From: "HB-1001", To: "HB-3001", Amount: 150, Currency: "EUR"}})
	var page strings.Builder
	if err := DiagramView(d).Render(t.Context(), &page); err != nil {
		t.Fatal(err)
	}
	if d.Items[0].Stolen != "stolen" || d.Items[1].Stolen != "stolen, used" || d.Items[2].Stolen != "" {
		t.Errorf("marked are %+v", d.Items)
	}
	if d.Height <= before || !strings.Contains(page.String(), "booked: EUR 1.50 from HB-1001 to HB-3001") {
		t.Error("the picture does not say what was booked")
	}
}
