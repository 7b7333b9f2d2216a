package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/mobileclient/phone"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// appUse is one use of the app from the command line. The command line has a phone of its
// own, which is kept in the deployment's folder: who signs in with one command is
// signed in with the next.
type appUse struct {
	data         *string
	stage, app   string
	phone        string // which of the command line's phones
	pack         string // path of a package to install instead of the store's; empty: none
	accessPoint  string // host:port of the one that the phone joins; empty: none
	proxy, trust string
	beside       string           // path of a package that is installed beside the app, and later; empty: none
	spy          string           // path to which the user agent's addresses are written; empty: they are not
	relay        string           // an authorization code of somebody's that is put into the app; empty: none
	memory       string           // path to which the app's memory is written; empty: it is not
	numbers      map[string]int64 // in the app's memory that a debugger replaces
	unlocked     bool
	system       string // name of the system that the phone runs; empty: its maker's
	raw          bool

	provider           string // on whose page they sign in; empty: the bank's
	user, passwordFile string // who signs in first, where nobody is signed in; empty: nobody
}

// phoneName is what phones of the command line are called; folders have the names.
var phoneName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// apps are the names of the bank's apps for people.
var apps = map[string]string{"bank": phone.AppName, "ops": phone.OpsName}

func (u *appUse) flags(flags *pflag.FlagSet) {
	flags.StringVar(&u.stage, "stage", os.Getenv("STAGE"), "stage to use: "+catalog.All().Built().Slugs()+"; STAGE in the environment sets the default")
	flags.StringVar(&u.app, "app", "bank", "which of the bank's apps: bank, for customers, or ops, for staff")
	flags.StringVar(&u.phone, "phone", "", "`NAME` of the phone to use, where there is to be more than one: each keeps its apps, and who is signed in")
	flags.StringVar(&u.pack, "package", "", "package `file` that the phone installs in place of the store's, whoever has signed it")
	flags.StringVar(&u.beside, "beside", "", "package `file` that the phone installs beside the app, after it")
	flags.StringVar(&u.spy, "spy", "", "`file` to write the addresses to that the user agent goes through, as an extension in it sees them")
	flags.StringVar(&u.relay, "relay-code", "", "`CODE`: begin to sign in, and open the app with a redirect that brings this authorization code")
	flags.StringVar(&u.accessPoint, "access-point", "", "`HOST:PORT` of an access point that the phone joins, as \"stages intercept\" opens one")
	flags.StringVar(&u.proxy, "proxy", "", "URL of an HTTP proxy that the phone is set to: http://127.0.0.1:8081")
	flags.StringVar(&u.trust, "trust", "", "PEM `file` with a CA that is added to the phone's trust store")
	flags.BoolVar(&u.unlocked, "unlocked", false, "unlock the phone, so that its owner can change its system: it reports that to apps that ask")
	flags.StringVar(&u.system, "system", "", "`NAME` of a system of somebody's own that the phone runs in place of its maker's: its boot loader is unlocked for that, and locked again")
	flags.StringVar(&u.user, "user", "", "`name` of who signs in, if they are not signed in: alice")
	flags.StringVar(&u.provider, "provider", "", "`NAME` of the provider on whose page they sign in, where there are several (default: the bank's)")
	flags.StringVar(&u.passwordFile, "password-file", "", "`file` with their password in its first line")
	flags.StringVar(&u.memory, "memory", "", "`file` to write the app's memory to when it has done its work, as gcore does (Linux)")
	flags.StringToInt64Var(&u.numbers, "debug", nil, "`OLD=NEW`: a number in the app's memory that is replaced, as with a debugger, until the app does what it is told (Linux)")
	flags.BoolVar(&u.raw, "json", false, "print the API's answer as it came")
}

func (u *appUse) commands() []*cobra.Command {
	var payment device.Payment
	var amount string
	transfer := &cobra.Command{
		Use:     "transfer",
		Short:   "Make a transfer",
		Example: "  mobileclient --stage tls transfer --from HB-1001 --to HB-2001 --amount 12.34 --reference lunch",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if payment.Amount, err = phone.ParseAmount(amount); err != nil {
				return err
			}
			return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) {
				return app.Transfer(ctx, payment)
			}, printBooked)
		},
	}
	transfer.Flags().StringVar(&payment.From, "from", catalog.AliceAccount, "account that pays")
	transfer.Flags().StringVar(&payment.To, "to", "", "account that is paid")
	transfer.Flags().StringVar(&amount, "amount", "", "amount in EUR: 12.34")
	transfer.Flags().StringVar(&payment.Reference, "reference", "", "what it is for")
	for _, required := range []string{"to", "amount"} {
		if err := transfer.MarkFlagRequired(required); err != nil {
			panic(err) // no such flag
		}
	}
	return []*cobra.Command{
		u.signInCommand(),
		{
			Use: "sign-out", Short: "Sign out", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) { return app.SignOut(ctx) },
					func(out io.Writer, _ []byte) error {
						_, err := fmt.Fprintln(out, "Signed out")
						return err
					})
			},
		},
		u.freezeCommand(),
		u.ratesCommand(),
		{
			Use: "accounts", Short: "Show the accounts", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) { return app.Accounts(ctx) }, printAccounts)
			},
		},
		{
			Use: "transfers ACCOUNT", Short: "Show the transfers of an account", Args: cobra.ExactArgs(1),
			Example: "  mobileclient --stage tls transfers " + catalog.AliceAccount,
			RunE: func(cmd *cobra.Command, args []string) error {
				return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) {
					return app.Transfers(ctx, args[0])
				}, printTransfers)
			},
		},
		transfer,
		u.logCommand(),
	}
}

// refusedError is what the app tells its user.
type refusedError struct{ screen device.Screen }

func (e *refusedError) Error() string {
	text := printable(e.screen.Error)
	if e.screen.Check != "" {
		text += "\nThe app's own check that refused: " + string(e.screen.Check)
	}
	if e.screen.Status != 0 {
		text += fmt.Sprintf("\nThe bank answered with status %d.", e.screen.Status)
	}
	return text
}

// run launches the app, has it do something and prints what it shows.
func (u *appUse) run(cmd *cobra.Command, do func(context.Context, *device.App) (device.Screen, error), show func(io.Writer, []byte) error) error {
	return u.runOn(cmd, func(ctx context.Context, d *device.Device, app *device.App) (device.Screen, error) {
		if err := u.signInFirst(cmd, d, app); err != nil {
			return device.Screen{}, err
		}
		return do(ctx, app)
	}, show)
}

// runOn is run where more of the phone is needed than the app.
func (u *appUse) runOn(cmd *cobra.Command, do func(context.Context, *device.Device, *device.App) (device.Screen, error), show func(io.Writer, []byte) error) (err error) {
	stages := catalog.All()
	stage, err := phone.Stage(stages, cmp.Or(u.stage, stages.Built()[0].Slug))
	if err != nil {
		return err
	}
	folder, err := new(program.Places).Open(*u.data, deployment.Phone)
	if err != nil {
		return err
	}
	phoneDir := "command-line"
	if u.phone != "" {
		if !phoneName.MatchString(u.phone) {
			return fmt.Errorf("--phone %s: give a name of lower-case letters, digits and hyphens", u.phone)
		}
		phoneDir += "-" + u.phone
	}
	dir, putDown, err := pickUp(folder.Path(phoneDir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, putDown()) }()
	d, err := phone.NewDevice(folder, dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	app, err := u.launch(cmd.Context(), d, folder, stage)
	if err != nil {
		return err
	}
	if u.spy != "" {
		file, err := os.OpenFile(u.spy, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("spy on the user agent: %w", err)
		}
		defer file.Close()
		d.Agent().Spy(func(address string) { fmt.Fprintln(file, address) })
	}
	if u.relay != "" {
		who := person.Person{Provider: u.provider}
		if u.user != "" {
			if who, err = u.person(cmd); err != nil {
				return err
			}
			u.user = "" // for that alone
		}
		if err := relayCode(cmd.Context(), d, app, u.relay, who); err != nil {
			return err
		}
	}
	screen, err := u.debugged(cmd.Context(), app, func() (device.Screen, error) { return do(cmd.Context(), d, app) })
	if err != nil {
		return err
	}
	if err := u.dump(cmd.Context(), app); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if u.raw && len(screen.Body) > 0 {
		if _, err := fmt.Fprintln(out, string(screen.Body)); err != nil {
			return err
		}
	}
	switch {
	case !screen.OK:
		return &refusedError{screen}
	case u.raw:
		return nil
	}
	return show(out, screen.Body)
}

// pickUp takes the command line's phone, which nobody else can use meanwhile. Where it
// can't be kept beside the deployment, it is one for this occasion.
func pickUp(dir string) (path string, putDown func() error, err error) {
	err = os.MkdirAll(dir, 0o700)
	if errors.Is(err, fs.ErrPermission) {
		if dir, err = os.MkdirTemp("", "keyladder-use-"); err != nil {
			return "", nil, err
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	if err != nil {
		return "", nil, err
	}
	if putDown, err = program.LockFolder(dir); err != nil {
		return "", nil, err
	}
	return dir, putDown, nil
}

// launch sets the phone as the flags say, with the app as the store has it now.
func (u *appUse) launch(ctx context.Context, d *device.Device, folder *deployment.Folder, stage catalog.Stage) (*device.App, error) {
	name, ok := apps[u.app]
	if !ok {
		return nil, fmt.Errorf("there is no app %q: they are bank and ops", u.app)
	}
	genuine, err := phone.NewStore(folder).Find(name, stage.Package.Release)
	if err != nil {
		return nil, err
	}
	if genuine == nil {
		return nil, fmt.Errorf("the deployment in %s has no release %d of the app %q, which the stage %q uses", filepath.Dir(folder.Dir), stage.Package.Release, u.app, stage.Slug)
	}
	for _, added := range d.Trusted() { // by an earlier command
		if err := d.Distrust(added); err != nil {
			return nil, err
		}
	}
	if u.trust != "" {
		pem, err := os.ReadFile(u.trust)
		if err != nil {
			return nil, fmt.Errorf("trust a CA: %w", err)
		}
		if err := d.Trust(pem); err != nil {
			return nil, fmt.Errorf("%s: %w", u.trust, err)
		}
	}
	if err := d.SetNetwork(device.Network{AccessPoint: u.accessPoint, Proxy: u.proxy}); err != nil {
		return nil, err
	}
	if err := u.setSystem(d); err != nil {
		return nil, err
	}
	if err := d.Unlock(u.unlocked); err != nil {
		return nil, err
	}
	wanted := genuine
	if u.pack != "" {
		if wanted, err = release.Open(u.pack); err != nil {
			return nil, err
		}
	}
	if err := u.install(d, wanted); err != nil {
		return nil, err
	}
	if u.beside != "" {
		if err := d.AllowSideloading(true); err != nil {
			return nil, err
		}
		if _, err := d.Install(u.beside); err != nil {
			return nil, err
		}
	}
	return d.Launch(ctx, wanted.Name, stage.Slug)
}

// setSystem has the phone run the system that the flags name. One that it runs already stays, with its key.
func (u *appUse) setSystem(d *device.Device) error {
	var wanted *device.System
	switch now := d.System(); {
	case now == nil && u.system == "", now != nil && now.Name == u.system:
		return nil
	case u.system != "":
		var err error
		if wanted, err = device.MakeSystem(u.system); err != nil {
			return fmt.Errorf("--system %s: %w", u.system, err)
		}
	}
	if err := d.Unlock(true); err != nil {
		return err
	}
	return d.InstallSystem(wanted)
}

// install installs a package where it is not installed already. An app of another signer
// has to go first, and what it has stored goes with it.
func (u *appUse) install(d *device.Device, wanted *release.Package) error {
	if err := d.AllowSideloading(u.pack != ""); err != nil {
		return err
	}
	for _, installed := range d.Installed() {
		switch {
		case installed.Name != wanted.Name:
		case installed.SHA256 == wanted.SHA256:
			return nil
		case !installed.Signer.Equal(wanted.Signer):
			if err := d.Uninstall(installed.Name); err != nil {
				return err
			}
		}
	}
	_, err := d.Install(wanted.Path)
	return err
}

func (u *appUse) ratesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rates", Short: "Show the exchange rates", Args: cobra.NoArgs}
	market := cmd.Flags().Bool("market", false, "those of a third party, where calls lead through the gateway: it has the key for them")
	taps := cmd.Flags().Int("taps", 0, "`NUMBER` of times that somebody taps, as fast as they can: what the bank answers is shown, a status a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *taps > 0 {
			return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) { return tapRates(ctx, app, *taps) }, printLine)
		}
		if *market {
			return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) { return app.MarketRates(ctx) }, printMarketRates)
		}
		return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) { return app.Rates(ctx) }, printRates)
	}
	return cmd
}

// fingers is how many taps the app deals with at once. It waits where the bank tells it to.
const fingers = 64

// tapRates looks at the rates many times, and shows the status of each answer.
func tapRates(ctx context.Context, app *device.App, taps int) (device.Screen, error) {
	var working errgroup.Group
	working.SetLimit(fingers)
	statuses := make([]int, taps)
	for i := range statuses {
		working.Go(func() error {
			screen, err := app.Rates(ctx)
			statuses[i] = screen.Status
			return err
		})
	}
	if err := working.Wait(); err != nil {
		return device.Screen{}, err
	}
	var lines strings.Builder
	for _, status := range statuses {
		fmt.Fprintln(&lines, status)
	}
	return device.Screen{OK: true, Body: []byte(lines.String())}, nil
}

// printLine prints what is text already.
func printLine(out io.Writer, body []byte) error {
	_, err := out.Write(body)
	return err
}
