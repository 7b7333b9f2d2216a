// Package phone is the workshop's phone: a device with the genuine app on it, its
// screen in the browser, and what the management API asks of it.
//
// The screen is plain HTML that works without scripts. It is for the person who holds
// the phone, on the machine that it runs on: a browser is paired first (pairing.go), other
// sites can neither send its forms nor frame it, and it answers under local names only.
//
//	GET  /pair, POST /pair      pair a browser, with a code that is good once
//	GET  /                      accounts with their balances, or who is to sign in
//	POST /sign-in, /sign-out    where the stage knows users
//	GET  /browser               the page that the user agent shows, as far as it was read
//	POST /browser/open          open an address; /browser/follow a link, /browser/submit a form
//	GET  /accounts/{id}         transfers of an account
//	POST /accounts/{id}/freeze  freeze an account, or free it, in the staff's app
//	GET  /pay, POST /pay        make a transfer
//	GET  /rates                 exchange rates
//	GET  /settings              network, trust store, packages
//	POST /settings/network      proxy on or off
//	POST /settings/trust        trust a CA; /settings/distrust takes one back
//	POST /settings/sideloading  allow packages of other signers
//	POST /settings/unlocked     unlock the phone, or lock it
//	POST /settings/system       install another operating system, or the maker's again
//	POST /settings/install      install a package; /settings/store the bank's; /settings/uninstall
//	POST /settings/update       install what the bank has packed anew
//	POST /stage, POST /app      use another stage, or another of the bank's apps
//	GET  /healthz               200 when the app can be started
//
// The management routes are listed in [keyladder/internal/manage].
//
// Everything that the screen can do, the command line of mobileclient can do too.
package phone
