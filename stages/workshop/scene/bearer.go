package scene

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

func (s *Station) serveBearer(c echo.Context) error {
	var order manage.BearerCall
	if err := c.Bind(&order); err != nil {
		return problem.New(http.StatusBadRequest, "bad-request", "That is not a call", "Send stage and token as JSON.")
	}
	header := http.Header{}
	token.Set(header, order.Token)
	if _, err := token.From(header); err != nil {
		return problem.New(http.StatusUnprocessableEntity, "unprocessable", "This can't be sent as a token", err.Error())
	}
	answer, err := s.Bear(c.Request().Context(), order)
	if err != nil {
		return problem.New(http.StatusConflict, "not-set", "The call could not be made", err.Error())
	}
	return c.JSON(http.StatusOK, answer)
}

// Bear asks for the accounts with any text as the access token. But for that, the call is made
// as the bank's app makes its own: with what is in its package, on a device of its own where
// the stage has devices.
func (s *Station) Bear(ctx context.Context, order manage.BearerCall) (manage.BearerAnswer, error) {
	stage, ok := s.stages.Lookup(order.Stage)
	if !ok || !stage.Built || !tokens(stage.Policies) {
		return manage.BearerAnswer{}, fmt.Errorf("there is no stage %q that is built and takes access tokens", order.Stage)
	}
	p, err := s.newProber(stage)
	if err != nil {
		return manage.BearerAnswer{}, err
	}
	defer p.close()
	if err := p.prove(ctx); err != nil {
		return manage.BearerAnswer{}, err
	}
	if devices(p.policies) {
		made, err := p.register(ctx, p.bank)
		if err != nil {
			return manage.BearerAnswer{}, err
		}
		if err := p.bank.show(func(as *protect.Identity) { as.Device = made }); err != nil {
			return manage.BearerAnswer{}, err
		}
	}
	got, err := p.send(ctx, draft{
		by: p.bank, Call: protect.Call{Path: "/v1/accounts"},
		as: func(as *protect.Identity) { as.Token = order.Token },
	})
	if err != nil {
		return manage.BearerAnswer{}, err
	}
	return manage.BearerAnswer{
		Status: got.status, Challenge: got.header.Get("WWW-Authenticate"), Body: string(got.body), Exchange: got.exchange,
	}, nil
}
