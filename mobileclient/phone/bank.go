package phone

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

func (p *Phone) showAccounts(c echo.Context) error {
	ctx := c.Request().Context()
	home := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Home(ctx) })
	if mustSignIn(home) {
		return p.showSignIn(c, p.page("Sign in", "/", home), home, c.QueryParam("fill"))
	}
	var answer Accounts
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Accounts(ctx) })
	if signedOut(screen) {
		return p.showSignIn(c, p.page("Sign in", "/", screen), screen, "")
	}
	read(&screen, &answer)
	page := p.page("Accounts", "/", screen)
	var own, others []manage.Account
	for _, account := range answer.Accounts {
		if account.Owner == cmp.Or(screen.User, p.device.Owner()) {
			own = append(own, account)
		} else {
			others = append(others, account)
		}
	}
	p.remember(slices.Concat(own, others))
	return render(c, http.StatusOK, accountsView(page, own, others))
}

func (p *Phone) freeze(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	frozen := c.FormValue("frozen") == "yes"
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Freeze(ctx, id, frozen) })
	if !screen.OK {
		return p.next(c, "/", refusal(screen))
	}
	title := id + " is frozen: no money moves"
	if !frozen {
		title = id + " is no longer frozen"
	}
	return p.next(c, "/", &notice{Good: true, Title: title})
}

func (p *Phone) remember(accounts []manage.Account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(accounts) == 0 {
		return
	}
	p.lastIDs = nil
	for _, account := range accounts {
		p.lastIDs = append(p.lastIDs, account.ID)
	}
}

func (p *Phone) showTransfers(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	var answer Transfers
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Transfers(ctx, id) })
	if signedOut(screen) {
		return p.next(c, "/", refusal(screen))
	}
	read(&screen, &answer)
	return render(c, http.StatusOK, transfersView(p.page(id, "/", screen), id, answer.Transfers))
}

// payForm is what was typed in, and what is wrong with it.
type payForm struct {
	From, To, Amount, Reference string
	AmountError                 string
	Known                       []string // account numbers
}

func (p *Phone) payForm() payForm {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := slices.Clone(p.lastIDs)
	if len(known) == 0 {
		known = []string{catalog.AliceAccount, catalog.BobAccount}
	}
	form := payForm{From: known[0], To: catalog.BobAccount, Known: known}
	if form.From == form.To {
		form.To = catalog.AliceAccount
	}
	return form
}

func (p *Phone) showPay(c echo.Context) error {
	form := p.payForm()
	if from := c.QueryParam("from"); from != "" {
		form.From = from
	}
	home := p.ask(c.Request().Context(), func(a *device.App) (device.Screen, error) { return a.Home(c.Request().Context()) })
	if mustSignIn(home) {
		return p.next(c, "/", &notice{Title: "Sign in first"})
	}
	return render(c, http.StatusOK, payView(p.page("Pay", "/pay", home), form))
}

func (p *Phone) pay(c echo.Context) error {
	ctx := c.Request().Context()
	form := p.payForm()
	form.From, form.To = strings.TrimSpace(c.FormValue("from")), strings.TrimSpace(c.FormValue("to"))
	form.Amount, form.Reference = c.FormValue("amount"), c.FormValue("reference")
	amount, err := ParseAmount(form.Amount)
	if err != nil {
		form.AmountError = "Write the amount like 12.34."
		return render(c, http.StatusUnprocessableEntity, payView(p.own(ctx, "Pay", "/pay", nil), form))
	}
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) {
		return a.Transfer(ctx, device.Payment{From: form.From, To: form.To, Amount: amount, Reference: form.Reference})
	})
	if signedOut(screen) {
		return p.next(c, "/", refusal(screen))
	}
	var booked manage.Transfer
	if read(&screen, &booked); !screen.OK {
		return render(c, http.StatusOK, payView(p.page("Pay", "/pay", screen), form))
	}
	return p.next(c, "/accounts/"+url.PathEscape(form.From), &notice{
		Good: true, Title: "Transfer booked",
		Text: fmt.Sprintf("%s %s went from %s to %s.", FormatAmount(booked.Amount), booked.Currency, booked.From, booked.To),
	})
}

func (p *Phone) showRates(c echo.Context) error {
	ctx := c.Request().Context()
	var today Rates
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Rates(ctx) })
	read(&screen, &today)
	return render(c, http.StatusOK, ratesView(p.page("Rates", "/rates", screen), today))
}
