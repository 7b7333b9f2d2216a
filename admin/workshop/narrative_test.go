package workshop

import (
	"slices"
	"strings"
	"testing"
)

func TestNarratives(t *testing.T) {
	t.Parallel()
	n, err := renderNarrative("# Title\n\n## What *is* new\n\nText with <script>alert(1)</script> and `code`.\n\n### A part {#the-part}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```console\n$ curl <x>\n```\n\n[bad](javascript:alert(1)) [code](#a-function)\n\n## The code\n\n### f {#a-function}\n\n```go\nfunc f() {}\n```\n", "/stages/tls/code")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<h2 id="what-is-new">`, `href="#what-is-new"`, `<h3 id="the-part">`, "<table>", `<pre tabindex="0"><code class="language-console">`, "curl &lt;x&gt;"} {
		if !strings.Contains(n.HTML, want) {
			t.Errorf("%q is missing in %s", want, n.HTML)
		}
	}
	if !strings.Contains(n.Code, "func f() {}") || strings.Contains(n.HTML, "func f() {}") {
		t.Error("the code is not apart")
	}
	for _, bad := range []string{"<h1", "<script", "javascript:"} {
		if strings.Contains(n.HTML, bad) {
			t.Errorf("%q is in %s", bad, n.HTML)
		}
	}
	if !strings.Contains(n.HTML, `href="/stages/tls/code#a-function"`) {
		t.Errorf("the code is not linked: %s", n.HTML)
	}
	if want := []heading{{"#what-is-new", "What is new"}, {"/stages/tls/code#the-code", "The code"}}; !slices.Equal(n.Headings, want) {
		t.Errorf("headings: %+v", n.Headings)
	}
}

func TestConsolesWrapBetweenWordsAlone(t *testing.T) {
	t.Parallel()
	n, err := renderNarrative("```console\n$ curl -H 'Authorization: key harbour-mobile' --connect-to x\n```\n", "")
	if err != nil {
		t.Fatal(err)
	}
	const want = `$ curl -H 'Authorization: key <span class="whole">harbour-mobile'</span> <span class="whole">--connect-to</span> x`
	if !strings.Contains(strings.ReplaceAll(n.HTML, "&#39;", "'"), want) {
		t.Errorf("the console is %s", n.HTML)
	}
}
