package hawk_test

import (
	"errors"
	"strings"
	"testing"

	"keyladder/stages/mechanism/hawk"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const good = `id="a", ts="1353832234", nonce="n", mac="m="`
	full := hawk.Header{ID: "a", Timestamp: "1", Nonce: "n", Hash: "h=", Ext: "e x t", MAC: "m=", App: "p", Dlg: "d"}
	short := hawk.Header{ID: "a", Timestamp: "1353832234", Nonce: "n", MAC: "m="}
	for _, test := range []struct {
		name, field string
		want        hawk.Header
		err         error
	}{
		{"the required ones", "Hawk " + good, short, nil},
		{"all", full.String(), full, nil},
		{"any order", `Hawk mac="m=", nonce="n", id="a", ts="1353832234"`, short, nil},
		{"no spaces, many spaces", `Hawk   id="a",ts="1353832234" ,` + "\t" + `nonce="n"  ,  mac="m=" `, short, nil},
		{"scheme in another case", "hAWK " + good, short, nil},
		{"every character", `Hawk ` + strings.Replace(good, `"n"`, `" !#$%&'()*+,-./0:;<=>?@A[]^_`+"`"+`a{|}~"`, 1), hawk.Header{ID: "a", Timestamp: "1353832234", Nonce: " !#$%&'()*+,-./0:;<=>?@A[]^_`a{|}~", MAC: "m="}, nil},
		{"as long as may be", "Hawk " + good + `, ext="` + strings.Repeat("x", hawk.MaxLength-len("Hawk "+good+`, ext=""`)) + `"`, hawk.Header{ID: "a", Timestamp: "1353832234", Nonce: "n", MAC: "m=", Ext: strings.Repeat("x", hawk.MaxLength-len("Hawk "+good+`, ext=""`))}, nil},

		{"nothing", "", hawk.Header{}, hawk.ErrMissing},
		{"another scheme", "Bearer abc", hawk.Header{}, hawk.ErrMissing},
		{"a longer scheme", "Hawks " + good, hawk.Header{}, hawk.ErrMissing},
		{"no space after the scheme", "Hawk" + good, hawk.Header{}, hawk.ErrMissing},
		{"a space before the scheme", " Hawk " + good, hawk.Header{}, hawk.ErrMissing},
		{"too long", "Hawk " + good + `, ext="` + strings.Repeat("x", hawk.MaxLength) + `"`, hawk.Header{}, hawk.ErrTooLong},
		{"scheme alone", "Hawk", hawk.Header{}, hawk.ErrSyntax},
		{"scheme and space", "Hawk ", hawk.Header{}, hawk.ErrSyntax},
		{"no quotation marks", "Hawk id=a", hawk.Header{}, hawk.ErrSyntax},
		{"not closed", "Hawk " + good + `, ext="x`, hawk.Header{}, hawk.ErrSyntax},
		{"nothing after a comma", "Hawk " + good + ",", hawk.Header{}, hawk.ErrSyntax},
		{"no comma", "Hawk " + good + ` ext="x"`, hawk.Header{}, hawk.ErrSyntax},
		{"two commas", `Hawk id="a",, ts="1", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrSyntax},
		{"space before the equals sign", `Hawk id ="a"`, hawk.Header{}, hawk.ErrSyntax},
		{"space after the equals sign", `Hawk id= "a"`, hawk.Header{}, hawk.ErrSyntax},
		{"rest after the list", "Hawk " + good + ` x`, hawk.Header{}, hawk.ErrSyntax},
		{"unknown attribute", "Hawk " + good + `, user="x"`, hawk.Header{}, hawk.ErrUnknownAttribute},
		{"attribute in capitals", "Hawk " + good + `, EXT="x"`, hawk.Header{}, hawk.ErrUnknownAttribute},
		{"no name", `Hawk ="a"`, hawk.Header{}, hawk.ErrUnknownAttribute},
		{"twice", "Hawk " + good + `, id="b"`, hawk.Header{}, hawk.ErrDuplicateAttribute},
		{"twice the same", "Hawk " + good + `, id="a"`, hawk.Header{}, hawk.ErrDuplicateAttribute},
		{"empty value", "Hawk " + good + `, ext=""`, hawk.Header{}, hawk.ErrAttributeValue},
		{"backslash", "Hawk " + good + `, ext="a\b"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"escaped quotation mark", "Hawk " + good + `, ext="a\"b"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"line feed", "Hawk " + good + ", ext=\"a\nb\"", hawk.Header{}, hawk.ErrAttributeValue},
		{"tab", "Hawk " + good + ", ext=\"a\tb\"", hawk.Header{}, hawk.ErrAttributeValue},
		{"beyond ASCII", "Hawk " + good + `, ext="ä"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"not UTF-8", "Hawk " + good + ", ext=\"\xff\"", hawk.Header{}, hawk.ErrAttributeValue},
		{"ts not a number", `Hawk id="a", ts="soon", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"ts negative", `Hawk id="a", ts="-1", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"ts with a sign", `Hawk id="a", ts="+1", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"ts with a leading zero", `Hawk id="a", ts="01", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"ts with a fraction", `Hawk id="a", ts="1.5", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"ts with an exponent", `Hawk id="a", ts="1e9", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"ts far away", `Hawk id="a", ts="1353832234000", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrAttributeValue},
		{"no id", `Hawk ts="1", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrMissingAttribute},
		{"no ts", `Hawk id="a", nonce="n", mac="m"`, hawk.Header{}, hawk.ErrMissingAttribute},
		{"no nonce", `Hawk id="a", ts="1", mac="m"`, hawk.Header{}, hawk.ErrMissingAttribute},
		{"no mac", `Hawk id="a", ts="1", nonce="n"`, hawk.Header{}, hawk.ErrMissingAttribute},
		{"dlg without app", "Hawk " + good + `, dlg="d"`, hawk.Header{}, hawk.ErrMissingAttribute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := hawk.Parse(test.field)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, test.want, test.err)
			}
			if err != nil && errors.Is(err, hawk.ErrMissing) == errors.Is(err, hawk.ErrMalformed) {
				t.Errorf("%v is neither missing nor malformed, or both", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`Hawk id="dh37fgj492je", ts="1353832234", nonce="j4h3g2", hash="Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=", ext="some-app-ext-data", mac="aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="`)
	f.Add(`hawk mac="m",app="a" , dlg="d", id="i",ts="0",nonce=" "`)
	f.Add(`Hawk id="a", id="b"`)
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, field string) {
		h, err := hawk.Parse(field)
		if err != nil {
			if h != (hawk.Header{}) {
				t.Errorf("%q: an error, and %+v", field, h)
			}
			if status, _ := hawk.Refusal(err); status != 400 && status != 401 {
				t.Errorf("%q is answered with %d", field, status)
			}
			return
		}
		if len(h.String()) > hawk.MaxLength {
			return // our form has spaces that this one did without
		}
		if again, err := hawk.Parse(h.String()); again != h || err != nil {
			t.Errorf("%q became %q and then %+v, %v", field, h, again, err)
		}
		if strings.ContainsAny(h.ID+h.Timestamp+h.Nonce+h.Hash+h.Ext+h.MAC+h.App+h.Dlg, "\"\\\n\r\x00") {
			t.Errorf("%q has characters that may not be in values", h)
		}
	})
}
