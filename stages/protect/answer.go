package protect

import (
	"mime"
	"net/http"
)

// Answer is what the server said, as far as it can be relied on.
type Answer struct {
	Status    int
	Header    http.Header // as it came
	Media     string      // media type of the body; empty: none, or none that can be read
	Body      []byte      // opened, where it was sealed
	Sealed    bool        // it was, and could be opened
	Authentic bool        // it comes from somebody with the app's secret, or the API's key, and answers this request
	ToldTime  bool        // the clock was wrong, the same says, and has been set
	ToldNonce bool        // the request was refused for its nonce, and there is another one for the next
}

func (a *Answer) success() bool { return a.Status < 300 }

// Check verifies an answer and opens it. An answer to a request that carried no proof, or a
// stolen one, is opened as it is. Where Check fails, the answer is as far as it got: nobody
// should rely on it. [Refused] says which check refused it.
//
// The status is not covered by a MAC. So what counts as a success is for the caller to
// decide by the body's media type as well: problems are authentic too, and a proxy could send
// one on as a 200.
func (d *Dressed) Check(response *http.Response, body []byte) (Answer, error) {
	a := Answer{
		Status: response.StatusCode, Header: response.Header, Body: body,
		Media: mediaType(response.Header.Get("Content-Type")),
	}
	for _, p := range d.parts {
		if p.learn != nil {
			p.learn(&d.Request, &a)
		}
	}
	for _, check := range d.checks {
		if err := check(&a); err != nil {
			return a, err
		}
	}
	if len(d.checks) > 0 && !a.Authentic {
		return a, nil
	}
	for _, p := range d.parts {
		if p.open != nil {
			if err := p.open(&a); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

// Verifies says whether the answer to the request has to prove that it comes from somebody
// with the app's secret.
func (d *Dressed) Verifies() bool { return len(d.checks) > 0 }

func mediaType(field string) string {
	media, _, err := mime.ParseMediaType(field)
	if err != nil {
		return ""
	}
	return media
}
