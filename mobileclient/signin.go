package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
)

// passwordEnv is the environment variable that sign-in takes the password from.
const passwordEnv = "PASSWORD"

func (u *appUse) signInCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "sign-in",
		Short: "Sign a user in, at stages that know users",
		Long: `Sign a user in, at stages that know users: in the app, or on the page that it opens in
the phone's user agent. A session lasts until sign-out, or until the bank ends it. An access
token is in the app's memory only, which ends with the command: there, give --user to the
command that needs somebody.

The password comes from the file, or from $` + passwordEnv + `, or is asked for. The workshop's are in
phone/passwords.json in the deployment's folder.`,
		Example: "  mobileclient --stage user-session sign-in --user alice\n  mobileclient --stage user-session --app ops sign-in --user carol",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := u.person(cmd)
			if err != nil {
				return err
			}
			return u.runOn(cmd, func(ctx context.Context, d *device.Device, app *device.App) (device.Screen, error) {
				who.Once = once
				screen, err := who.SignIn(ctx, d, app)
				if err == nil && screen.OK && len(screen.Body) == 0 { // a page says nothing that is for the app's screen
					screen.Body, err = json.Marshal(map[string]string{"user": screen.User})
				}
				return screen, err
			}, printSignedIn)
		},
	}
	cmd.Flags().BoolVar(&once, "memory-only", false, "have the app keep what stands for the user in its memory only; as each command starts the app anew, the next one finds nobody signed in")
	return cmd
}

// errNobody means that nobody is named who is to sign in.
var errNobody = errors.New("name who is to sign in, with --user")

// person is who the flags name.
func (u *appUse) person(cmd *cobra.Command) (person.Person, error) {
	if u.user == "" {
		return person.Person{}, errNobody
	}
	password, err := readPassword(cmd, u.user, u.passwordFile)
	return person.Person{Name: u.user, Password: password, Provider: u.provider}, err
}

// signInFirst signs in whom the flags name, if they name somebody who is not yet.
func (u *appUse) signInFirst(cmd *cobra.Command, d *device.Device, app *device.App) error {
	if u.user == "" {
		return nil
	}
	who, err := u.person(cmd)
	if err != nil {
		return err
	}
	screen, err := who.EnsureSignedIn(cmd.Context(), d, app)
	if err == nil && !screen.OK {
		err = &refusedError{screen}
	}
	return err
}

var errNoPassword = errors.New("there is no password: give --password-file, set " + passwordEnv + ", or type it in")

// readPassword takes no password from the command's arguments: those are for everybody on
// the machine to read.
func readPassword(cmd *cobra.Command, user, file string) (string, error) {
	if file != "" {
		in, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		defer in.Close()
		return firstLine(in)
	}
	if password := os.Getenv(passwordEnv); password != "" {
		return password, nil
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok {
		if show, err := hideInput(in); err == nil { // it is a terminal
			defer show()
			fmt.Fprintf(cmd.ErrOrStderr(), "Password of %s: ", user)
			defer fmt.Fprintln(cmd.ErrOrStderr())
		}
	}
	type typed struct {
		line string
		err  error
	}
	done := make(chan typed, 1)
	go func() {
		line, err := firstLine(cmd.InOrStdin())
		done <- typed{line, err}
	}()
	select {
	case typed := <-done:
		return typed.line, typed.err
	case <-cmd.Context().Done(): // or the terminal would go on hiding what is typed
		return "", cmd.Context().Err()
	}
}

func firstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errNoPassword
	}
	return line, nil
}

func printSignedIn(out io.Writer, body []byte) error {
	var session struct {
		User        string    `json:"user"`
		IdleSeconds int       `json:"idle_seconds"`
		ExpiresAt   time.Time `json:"expires_at"`
		Stored      bool      `json:"stored"`
	}
	if err := json.Unmarshal(body, &session); err != nil {
		return unreadable(err)
	}
	text := "Signed in"
	if session.User != "" { // an app that was not told does not know
		text += " as " + printable(session.User)
	}
	if !session.ExpiresAt.IsZero() {
		text += session.ExpiresAt.UTC().Format(": until 2006-01-02 15:04 UTC at most")
	}
	if session.IdleSeconds > 0 {
		text += ", or " + catalog.Lasting(time.Duration(session.IdleSeconds)*time.Second) + " without a call"
	}
	if !session.Stored && !session.ExpiresAt.IsZero() {
		text += "; what stands for the user was in the app's memory only, and the app has ended with this command"
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

func (u *appUse) freezeCommand() *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:     "freeze ACCOUNT",
		Short:   "Freeze an account, as the bank's staff may in their app",
		Example: "  mobileclient --stage user-session --app ops freeze HB-2001\n  mobileclient --stage user-session --app ops freeze HB-2001 --off",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return u.run(cmd, func(ctx context.Context, app *device.App) (device.Screen, error) {
				return app.Freeze(ctx, args[0], !off)
			}, func(out io.Writer, _ []byte) error {
				state := "frozen: no money moves"
				if off {
					state = "no longer frozen"
				}
				_, err := fmt.Fprintf(out, "%s is %s\n", args[0], state)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "free it again")
	return cmd
}
