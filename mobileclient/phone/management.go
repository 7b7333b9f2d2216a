package phone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pin"
)

// maxOrder bounds the body of a management call, in bytes.
const maxOrder = 64 << 10

// order is the body of the management calls.
type order struct {
	Stage     string `json:"stage"`
	Reference string `json:"reference"`
}

func (p *Phone) manageRoutes() {
	admin := p.manage.For(deployment.Admin)
	admin.GET("/phone", func(c echo.Context) error {
		packages, err := packages(p.device.Installed())
		if err != nil {
			return err
		}
		for i := range packages {
			packages[i].Identifier = p.device.Identifier(packages[i].Name)
		}
		return c.JSON(http.StatusOK, manage.Phone{Stage: p.stage().Slug, Packages: packages})
	})
	// Anyone who has the phone's folder has the phone.
	p.manage.For(deployment.Admin, deployment.Phone).POST(manage.PairingPath, p.servePairing)
	admin.POST("/phone/stage", func(c echo.Context) error {
		order, err := p.readOrder(c)
		if err != nil {
			return err
		}
		if err := p.Use(order.Stage); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
	admin.POST("/phone/run", func(c echo.Context) error {
		order, err := p.readOrder(c)
		if err != nil {
			return err
		}
		run, err := p.run(c.Request().Context(), order)
		if err != nil {
			return problem.New(http.StatusConflict, "app-not-running", "The app could not be started", err.Error())
		}
		return c.JSON(http.StatusOK, run)
	})
}

func (p *Phone) servePairing(c echo.Context) error {
	return c.JSON(http.StatusOK, manage.Pairing{Code: p.codes.make(codeFor), Seconds: int(codeFor / time.Second)})
}

func (p *Phone) readOrder(c echo.Context) (order, error) {
	var o order
	decoder := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, maxOrder))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return o, problem.New(http.StatusBadRequest, "bad-request", "That is not an order", "Send stage, and reference, as JSON: "+err.Error())
	}
	if _, err := Stage(p.config.Stages, o.Stage); err != nil {
		return o, problem.New(http.StatusNotFound, "no-such-stage", "That stage can't be used", err.Error())
	}
	return o, nil
}

// run exercises the customers' app at a stage, which need not be the phone's: the owner's
// app stays as it is then. Where the stage uses another release than the one that is
// installed, it runs on a phone of its own.
func (p *Phone) run(ctx context.Context, o order) (run manage.Run, err error) {
	p.exercising.Lock() // two apps that start at a stage for the first time would both register
	defer p.exercising.Unlock()
	stage, err := Stage(p.config.Stages, o.Stage)
	if err != nil {
		return manage.Run{}, err
	}
	owner := p.people.Named(Owner)
	current, name, err := p.using()
	if err != nil {
		return manage.Run{}, err
	}
	if stage.Slug == current.Slug && name == AppName {
		app, err := p.running(ctx)
		if err != nil {
			return manage.Run{}, err
		}
		return owner.Exercise(ctx, p.device, app, o.Reference), nil
	}
	d := p.device
	if installed, ok := p.installed(AppName); !ok || installed.Release != stage.Package.Release {
		other, throwAway, err := p.otherDevice(stage)
		if err != nil {
			return manage.Run{}, err
		}
		defer func() { err = errors.Join(err, throwAway()) }()
		d = other
	}
	app, err := d.Launch(ctx, AppName, stage.Slug)
	if err != nil {
		return manage.Run{}, err
	}
	defer app.Close()
	run = owner.Exercise(ctx, d, app, o.Reference)
	if d != p.device {
		run.Identifier = d.Identifier(AppName)
	}
	return run, nil
}

// otherDevice is another phone of the owner's, with the app that a stage uses, for one
// occasion. It goes through the same network.
func (p *Phone) otherDevice(stage catalog.Stage) (d *device.Device, throwAway func() error, err error) {
	wanted, err := p.store.Find(AppName, stage.Package.Release)
	if err != nil {
		return nil, nil, err
	}
	if wanted == nil {
		return nil, nil, fmt.Errorf("the app store has no release %d of the app", stage.Package.Release)
	}
	dir, err := os.MkdirTemp(p.config.Folder.Dir, "run-") // where programs can be run from
	if err != nil {
		return nil, nil, err
	}
	d, err = NewDevice(p.config.Folder, dir, p.config.Log)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	throwAway = func() error { return errors.Join(d.Close(), os.RemoveAll(dir)) }
	err = d.SetNetwork(p.device.Network())
	if err == nil {
		_, err = d.Install(wanted.Path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, throwAway())
	}
	return d, throwAway, nil
}

func packages(installed []device.Installed) ([]manage.Package, error) {
	list := make([]manage.Package, 0, len(installed))
	for _, i := range installed {
		signer, err := pin.OfKey(i.Signer)
		if err != nil {
			return nil, err
		}
		list = append(list, manage.Package{
			Name: i.Name, Label: i.Label, Release: i.Release, Signer: string(signer), Genuine: i.Genuine,
			SHA256: i.SHA256, Size: i.Size, Schemes: i.Schemes, Filename: filepath.Base(i.Path),
		})
	}
	return list, nil
}
