package phone

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/mobileclient/device"
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
	p.manage.GET("/phone", func(c echo.Context) error {
		packages, err := packages(p.device.Installed())
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, manage.Phone{Stage: p.stage().Slug, Packages: packages})
	})
	p.manage.POST("/phone/stage", func(c echo.Context) error {
		order, err := p.readOrder(c)
		if err != nil {
			return err
		}
		if err := p.Use(order.Stage); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
	p.manage.POST("/phone/run", func(c echo.Context) error {
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

// run exercises the app at a stage, which need not be the phone's: the owner's app
// stays as it is then.
func (p *Phone) run(ctx context.Context, o order) (manage.Run, error) {
	stage, err := Stage(p.config.Stages, o.Stage)
	if err != nil {
		return manage.Run{}, err
	}
	owner := Credentials{User: Owner, Password: p.passwords[Owner]}
	if stage.Slug == p.stage().Slug {
		app, err := p.running(ctx)
		if err != nil {
			return manage.Run{}, err
		}
		return Exercise(ctx, app, stage, owner, o.Reference), nil
	}
	app, err := p.device.Launch(ctx, AppName, stage.Slug)
	if err != nil {
		return manage.Run{}, err
	}
	defer app.Close()
	return Exercise(ctx, app, stage, owner, o.Reference), nil
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
