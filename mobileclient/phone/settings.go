package phone

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
)

// trusted is a certificate that was added to the trust store.
type trusted struct{ Name, Fingerprint, Until string }

func (p *Phone) showSettings(c echo.Context) error {
	return p.settings(c, http.StatusOK, p.told(), nil)
}

// settings shows the settings, and the form that was refused as it was filled in.
func (p *Phone) settings(c echo.Context, status int, n *notice, refused url.Values) error {
	var added []trusted
	for _, certificate := range p.device.Trusted() {
		added = append(added, trusted{
			Name: certificate.Subject.CommonName, Fingerprint: fingerprint(certificate.Raw),
			Until: certificate.NotAfter.Format("2 January 2006"),
		})
	}
	installed, err := packages(p.device.Installed())
	if err != nil {
		return err
	}
	page := p.own(c.Request().Context(), "Settings", "/settings", n)
	return render(c, status, settingsView(page, p.device.Sideloading(), p.device.Unlocked(), p.device.System(), added, installed, refused))
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// saved tells what came of a setting: the next page, or this one with the error.
func (p *Phone) saved(c echo.Context, err error, title string) error {
	if err != nil {
		return p.settings(c, http.StatusUnprocessableEntity, &notice{Title: "That was not changed", Text: sentence(err)}, c.Request().PostForm)
	}
	return p.next(c, "/settings", &notice{Good: true, Title: title})
}

func (p *Phone) setNetwork(c echo.Context) error {
	network := p.device.Network()
	network.Proxy = ""
	title := "The proxy is off"
	if c.FormValue("use") != "" {
		network.Proxy, title = strings.TrimSpace(c.FormValue("proxy")), "Apps now use the proxy"
		if network.Proxy == "" {
			return p.saved(c, device.ErrProxy, "")
		}
	}
	return p.saved(c, p.device.SetNetwork(network), title)
}

func (p *Phone) trust(c echo.Context) error {
	return p.saved(c, p.device.Trust([]byte(c.FormValue("pem"))), "The phone trusts this CA from now on")
}

func (p *Phone) distrust(c echo.Context) error {
	for _, certificate := range p.device.Trusted() {
		if fingerprint(certificate.Raw) == c.FormValue("fingerprint") {
			return p.saved(c, p.device.Distrust(certificate), "The phone no longer trusts this CA")
		}
	}
	return p.saved(c, nil, "The phone did not trust this CA")
}

func (p *Phone) setSideloading(c echo.Context) error {
	allowed := c.FormValue("allowed") != ""
	title := "Only the app store's packages can be installed now"
	if allowed {
		title = "Packages of any signer can be installed now"
	}
	return p.saved(c, p.device.AllowSideloading(allowed), title)
}

func (p *Phone) unlock(c echo.Context) error {
	unlocked := c.FormValue("unlocked") != ""
	title := "The phone is locked, and says so to apps that ask"
	if unlocked {
		title = "The phone is unlocked, and says so to apps that ask"
	}
	return p.saved(c, p.device.Unlock(unlocked), title)
}

// installSystem puts a system of the owner's on the phone, or the maker's back where none is named.
func (p *Phone) installSystem(c echo.Context) error {
	name := strings.TrimSpace(c.FormValue("system"))
	if c.FormValue("makers") != "" {
		return p.saved(c, p.device.InstallSystem(nil), "The phone runs its maker's system")
	}
	made, err := device.MakeSystem(name)
	if err == nil {
		err = p.device.InstallSystem(made)
	}
	return p.saved(c, err, "The phone runs "+name)
}

func (p *Phone) install(c echo.Context) error {
	if !p.uploading.TryLock() { // one at a time: each takes memory and disk
		return p.settings(c, http.StatusServiceUnavailable, &notice{
			Title: "That was not changed", Text: "Another package is being installed. Try again when that is done.",
		}, nil)
	}
	installed, err := p.installUpload(c)
	p.uploading.Unlock() // before the answer, which may lead to the next one
	var refused *refusedUpload
	if errors.As(err, &refused) {
		return p.saved(c, refused.reason, "")
	}
	if err != nil {
		return err
	}
	return p.saved(c, nil, installed.Label+" is installed")
}

// refusedUpload is an upload that its sender can put right.
type refusedUpload struct{ reason error }

func (e *refusedUpload) Error() string { return e.reason.Error() }

// installUpload installs the package that a form brings.
func (p *Phone) installUpload(c echo.Context) (device.Installed, error) {
	control := http.NewResponseController(c.Response())
	until := time.Now().Add(uploadTime)
	if err := errors.Join(control.SetReadDeadline(until), control.SetWriteDeadline(until.Add(pageTime))); err != nil {
		return device.Installed{}, err
	}
	path, err := p.receive(c.Request())
	if path != "" {
		defer os.Remove(path)
	}
	if errors.Is(err, errNoFile) {
		return device.Installed{}, &refusedUpload{err}
	}
	if err != nil {
		return device.Installed{}, err
	}
	installed, err := p.device.Install(path)
	if err != nil {
		return installed, &refusedUpload{explain(err)}
	}
	return installed, nil
}

// uploadTime is how long a package may take to arrive.
const uploadTime = 2 * time.Minute

// uploads is what files begin with while they arrive.
const uploads = ".upload-"

var errNoFile = errors.New("choose a package file first")

// receive writes the package that a form brings to a file as it arrives, and returns its
// path. The file may be there when there is an error, too.
func (p *Phone) receive(r *http.Request) (path string, err error) {
	form, err := r.MultipartReader()
	if err != nil {
		return "", errNoFile
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return "", errNoFile
		}
		if err != nil {
			return "", err
		}
		if part.FormName() != "package" || part.FileName() == "" {
			continue
		}
		file, err := os.CreateTemp(p.config.Folder.Dir, uploads)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(file, part)
		return file.Name(), errors.Join(err, file.Close())
	}
}

// removeUploads removes what an earlier run may have left behind when it was killed.
func (p *Phone) removeUploads() error {
	left, err := filepath.Glob(p.config.Folder.Path(uploads + "*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// explain drops from an error the name of the uploaded file on this machine.
func explain(err error) error {
	for _, known := range []error{
		device.ErrSideloading, device.ErrOtherSigner, release.ErrUnsigned, release.ErrSignature, release.ErrMalformed,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

// installGenuine puts the store's app back, whatever is in its place.
func (p *Phone) installGenuine(c echo.Context) error {
	_, name, err := p.using()
	if err != nil {
		return err
	}
	p.mu.Lock()
	if installed, ok := p.installed(name); ok && !installed.Genuine {
		if err := p.device.Uninstall(name); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	err = p.equip()
	p.mu.Unlock()
	return p.saved(c, err, appLabel(name)+" is installed")
}

// updateApp installs the package that the bank has packed anew.
func (p *Phone) updateApp(c echo.Context) error {
	stage, name, err := p.using()
	if err == nil {
		err = p.update(name, stage)
	}
	return p.saved(c, err, appLabel(name)+" is up to date")
}

func (p *Phone) uninstall(c echo.Context) error {
	return p.saved(c, p.device.Uninstall(c.FormValue("name")), "The app and all that it had stored are gone")
}
