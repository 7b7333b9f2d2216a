package catalog

var attacks = []Attack{
	{
		Name: "unknown-client", Position: Anyone, outcomes: row("bbbbbb bbbbbbb bbb bb"),
		Summary:   "Call the API with credentials that were made up, and with none at all.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{1, CheckAppKey}, {3, CheckClientCert}},
		Steps: []string{
			"Ask for the accounts without any credentials: `curl -i -A HarbourBank/1.0 http://localhost:8080/app-id/v1/accounts`. At stages with TLS, the address is https://localhost:8443 and curl needs `--cacert workshop-ca.pem`.",
			"Do it again with an ID that you make up: add `-H 'Authorization: key made-up'`.",
			"Where a client certificate is asked for, make one yourself with `openssl req -x509` and show it with `--cert` and `--key`.",
			"Where requests are signed, sign them with a secret that you make up.",
			"Try to book a transfer to your own account in the same ways.",
		},
	},
	{
		Name: "flood", Position: OwnDevice, outcomes: row("bbbbbb bbbbbbb bbb bb"),
		Summary:   "Call the API faster than the rate limit allows, with the app's own credentials.",
		Goal:      ExceedLimit,
		blockedBy: []blockedBy{{1, CheckAddressLimit}},
		Steps: []string{
			"Install the app on your own phone, or take its credentials out of the package.",
			"Call for the exchange rates over and over from one address, as fast as you can.",
			"Count the answers with status 200, and read in the fields RateLimit-Policy and Retry-After of the others what is allowed.",
		},
	},
	{
		Name: "wiretap", Position: OnPath, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Listen on the network, then book a transfer with what was heard.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{2, CheckTLS}},
		Steps: []string{
			"Carry the victim's connections: run the wireless network that the phone joins, or listen on a machine on the way (`tcpdump -A` shows what passes).",
			"Wait until the victim opens the app, and look for the Authorization field of a request.",
			"Send a request of your own with what you heard, from your own program: a transfer from the victim's account to yours.",
		},
	},
	{
		Name: "url-leak", Position: AccessLog, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Take keys from the URLs in an access log, and book a transfer with them.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{2, CheckKeyInURL}},
		Steps: []string{
			"Get a copy of the server's access log: from a backup, from a colleague, or from the log service.",
			"Search it for `key=`.",
			"Book a transfer with the key that you found, in the Authorization field or in the URL.",
		},
	},
	{
		Name: "wire-tamper", Position: OnPath, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Change the payee of the victim's payment on its way, without a certificate that the phone trusts.",
		Goal:      ChangePayee,
		blockedBy: []blockedBy{{2, CheckTLS}},
		Steps: []string{
			"Carry the victim's connections, as for wiretap.",
			"Where they are plain, let everything pass but the payment, and put your own account in the place of the payee; correct Content-Length.",
			"Where they are encrypted, answer in the server's place with a certificate of your own making and hope that the app accepts it.",
			"Look at the victim's account: to whom did the money go?",
		},
	},
	{
		Name: "trusted-proxy", Position: OwnDevice, outcomes: row("SSbbbb bbbbbbb bbb bb"),
		Summary:   "Let the unmodified app on one's own phone talk through a proxy that the phone trusts, read its calls, and book a transfer with what they hold.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{3, CheckPins}},
		Steps: []string{
			"Install the genuine app on your own phone.",
			"Start a proxy that makes certificates on the fly, such as mitmproxy, and add its CA certificate to the phone's trust store.",
			"Set the proxy in the phone's network settings and use the app: `mobileclient --proxy http://127.0.0.1:8081 --trust ~/.mitmproxy/mitmproxy-ca-cert.pem accounts`.",
			"Read the credentials in the proxy and book a transfer with a program of your own.",
		},
	},
	{
		Name: "repin", Position: OwnDevice, outcomes: row("..SSbb bbbbbbb bbb bb"),
		Summary: "Replace the pins in the package, sign it anew, and read the app's calls through a proxy.",
		Goal:    ReadData,
		Steps: []string{
			"Take the package apart: a program, and a zip archive with settings.json behind it.",
			"Write the pin of your proxy's key into SERVER_PINS, and keep the client certificate and key for the proxy: the server will ask it for them. From release 2 on there is no such list to be found.",
			"Pack it again, sign it with a key of your own, and install it on your own phone, with installing from unknown sources allowed.",
			"Add the proxy's CA to the trust store, set the proxy, use the app, and read the accounts in the proxy.",
		},
		blockedBy: []blockedBy{{5, CheckHidden}},
	},
	{
		Name: "static-extract", Position: PackageFile, outcomes: row("SSSSbb SSbbbbb bbb bb"),
		Summary: "Find the secrets in the package file, and book a transfer with a program of one's own.",
		Goal:    BookTransfer,
		Steps: []string{
			"Get the package: `curl -O http://localhost:8000/packages/harbour-bank-1.pkg`.",
			"Read its settings: `unzip -p harbour-bank-1.pkg settings.json`. In other packages, `strings` and patience do the same. In release 2, search the program and the pictures for the secrets, as they are and decoded from base64 and hexadecimal.",
			"Put what you found into a program of your own, or into curl, and book a transfer.",
		},
		blockedBy: []blockedBy{{5, CheckHidden}},
	},
	{
		Name: "memory-hook", Position: OwnDevice, outcomes: row("SSSSSS SSSSbbb bbb bb"),
		Summary: "Take the secrets from the memory of the running app, and book a transfer with a program of one's own.",
		Goal:    BookTransfer,
		Steps: []string{
			"Install the genuine app on your own phone, start it and use it once.",
			"Find the process and read its memory: /proc/PID/maps says where, /proc/PID/mem holds it (or `gcore PID`).",
			"Search the memory for the shapes that you know: `key harbour-`, PEM blocks, the names from settings.json.",
			"Where requests are signed, find one in the same memory, and compute its MAC with every text there that could be a secret. The text that gives the same MAC is the secret. For the client's private key, try every 32 bytes against the certificate that lies there, too.",
			"Book a transfer with what you found.",
		},
	},
	{
		Name: "repackaged-app", Position: OwnDevice, outcomes: row("SSSSSS SSSSbbb bbb bb"),
		Summary: "Change the package, sign it anew, and be served through the changed app.",
		Goal:    PassAppLimit,
		Steps: []string{
			"Take the package apart and raise TRANSFER_CAP, the largest transfer that the app lets its user make.",
			"Pack it again, sign it with a key of your own, and install it on your own phone, with installing from unknown sources allowed.",
			"Make a transfer above 1,000.00 with it, as its user.",
		},
	},
	{
		Name: "instrumented-app", Position: OwnDevice, outcomes: row("SSSSSS SSSSSbb bbb bb"),
		Summary: "Run the genuine app under a debugger, change what it does, and be served all the same.",
		Goal:    PassAppLimit,
		Steps: []string{
			"Install the genuine app on your own phone and start it.",
			"Attach a debugger to the process (`gdb -p PID`, or Frida) and find where it keeps the largest transfer that it allows.",
			"Write a larger number there and let the app go on.",
			"Make a transfer above 1,000.00 with it, as its user.",
		},
	},
	{
		Name: "hash-spoof", Position: OwnDevice, outcomes: row("...... ....Sbb bbb bb"),
		Summary: "One's own program reports the hash of the genuine package.",
	},
	{
		Name: "attestation-replay", Position: OwnDevice, outcomes: row("...... ....Sbb bbb bb"),
		Summary: "Send an attestation of the genuine app, captured earlier, once more.",
	},
	{
		Name: "challenge-oracle", Position: OwnDevice, outcomes: row("...... ....SSS SSS bb"),
		Summary: "One's own program answers the attestation service's challenges out of the genuine package file.",
	},
	{
		Name: "token-lift", Position: OwnDevice, outcomes: row(".....S SSSSSSS SSS bb"),
		Summary: "Lift live tokens, and the static secrets, from the app's memory, and call from one's own program.",
		Goal:    BookTransfer,
		Steps: []string{
			"Install the genuine app on your own phone, sign in as yourself, and look at your accounts.",
			"Find the static secrets in the memory of the process, as for memory-hook.",
			"Search it for what stands for you, too: `Authorization: Session` and what follows (a token at later stages), and the fields Device-Id and Device-Guid of the same request.",
			"Put all of that into a program of your own, and book a transfer before the session ends.",
		},
	},
	{
		Name: "replay", Position: LogAfterTLS, outcomes: row("SSSSbb SSbbSSS SSS bb"),
		Summary: "Send a complete call again that was captured behind the TLS terminator.",
		Goal:    RepeatPayment,
		Steps: []string{
			"Get at what a machine behind the TLS terminator keeps: a request log with headers and bodies, or a debugging proxy that was forgotten there.",
			"Find the victim's payment in it.",
			"Send the same bytes to the API again, from there. Where requests are signed, you have a minute.",
			"Look at the victim's account: was the payment booked twice?",
		},
		blockedBy: []blockedBy{{5, CheckNonce}},
	},
	{
		Name: "proxy-tamper", Position: Terminator, outcomes: row("SSSbbb SSbbSSS SSS Sb"),
		Summary: "Change the payee of the victim's payment behind the TLS terminator.",
		Goal:    ChangePayee,
		Steps: []string{
			"Be, or break into, the load balancer at which TLS ends.",
			"Wait for the victim's payment and put your own account in the place of the payee; correct Content-Length.",
			"Pass it on to the API as if nothing had happened, with the client's certificate in the field where the API expects it. Where requests are signed, the MAC stays the one for the payment as it was.",
			"Look at the victim's account: to whom did the money go?",
		},
		blockedBy: []blockedBy{{4, CheckHawk}},
	},
	{
		Name: "stolen-bearer", Position: LogAfterTLS, outcomes: row(".....b SSbbbbb bbb bb"),
		Summary:   "Use the user's session key or access token alone, without a proof of the app.",
		Goal:      ReadData,
		blockedBy: []blockedBy{{6, CheckHawk}},
		Steps: []string{
			"Get at a log of complete calls behind the TLS terminator, as for replay.",
			"Take the Authorization field out of one of the victim's calls, `Session` and a key for example, and leave the rest.",
			"Ask for the victim's accounts and transfers with that field alone, from there, with the client's certificate in the field where the API expects it.",
			"Look at the answer: is it the victim's data, or a challenge?",
		},
	},
	{
		Name: "password-guess", Position: Anyone, outcomes: row(".....b bbbbbbb bbb bb"),
		Summary:   "Try passwords until one fits.",
		Goal:      RobVictim,
		blockedBy: []blockedBy{{6, CheckClientCert}},
		Steps: []string{
			"Take the name of a customer, which is no secret: alice. Get a list of common passwords.",
			"Try the first: `curl -i --cacert workshop-ca.pem -A HarbourBank/2.0 -u alice:123456 -X POST https://localhost:8443/user-session/v1/session`. Then the next.",
			"When one fits, transfer the victim's money to your own account.",
			"To see what waits behind the app's proof, do it again with that proof, as the stage's curl commands have it, and the name of nobody. After a handful, read the status and Retry-After.",
		},
	},
	{
		Name: "password-grab", Position: LookAlike, outcomes: row(".....S Sbbbbbb bbb bb"),
		Summary: "A look-alike app asks for the password, and the user types it in.",
		Goal:    RobVictim,
		Steps: []string{
			"Take the genuine package apart. Keep its label and its pictures, and put in a program of your own that shows the same sign-in and sends what is typed to you.",
			"Sign it with a key of your own, and get it to the victim: through the app store, or with a link in a message.",
			"Wait until the victim signs in with it. Let it say that the bank is being serviced.",
			"Type the name and the password into the genuine app on your own phone.",
			"Transfer the victim's money to your own account.",
		},
	},
	{
		Name: "backup-theft", Position: StorageCopy, outcomes: row(".....S bbbSbbb bbb bb"),
		Summary: "Take a copy of the app's storage from the victim and the static secrets from one's own device, and act as the victim.",
		Goal:    RobVictim,
		Steps: []string{
			"Get a copy of what the app stores on the victim's phone: a backup on a laptop or in a cloud, or the phone itself on a repairer's desk. The workshop's phone keeps it in data/phone/device/storage.",
			"Read it: the files are JSON, and hold the session key, the device's identifier and its GUID.",
			"Install the genuine app on your own phone, and find its static secrets in its memory, as for memory-hook. They are the same in every copy.",
			"Before the session has been idle for too long, sign a transfer from the victim's account to yours with those secrets, and send it with the victim's session key, Device-Id and Device-Guid.",
		},
	},
	{
		Name: "token-forge", Position: Anyone, outcomes: row("...... bbbbbbb bbb bb"),
		Summary: "Make a token oneself: algorithm none, confused keys, changed claims, another audience, expired, tricks with kid.",
	},
	{
		Name: "agent-spy", Position: UserAgentSpy, outcomes: row("...... .Sbbbbb bbb bb"),
		Summary: "Spy on the URLs in the user agent and use what they show.",
	},
	{
		Name: "redirect-swap", Position: Anyone, outcomes: row("...... .bbbbbb bbb bb"),
		Summary: "Ask the authorization server to send its answer to another redirect URI.",
	},
	{
		Name: "code-hijack", Position: SchemeThief, outcomes: row("...... .SSSbbb bbb bb"),
		Summary: "Catch the redirect with a malicious app, and redeem what it carries in one's own program, with hooked secrets.",
	},
	{
		Name: "code-relay", Position: SchemeThief, outcomes: row("...... ..SSSSS bbb bb"),
		Summary: "Catch the code with a malicious app, and put it into the genuine app on one's own device.",
	},
	{
		Name: "verifier-spy", Position: UserAgentSpy, outcomes: row("...... ....... Sbb bb"),
		Summary: "Read the plain challenge in the user agent, and redeem the hijacked code with it and with an integrity token lifted on one's own device.",
	},
	{
		Name: "refresh-reuse", Position: StorageCopy, outcomes: row("...... ...bbbb bbb bb"),
		Summary: "Use a refresh token that was already exchanged; the whole family must die.",
	},
	{
		Name: "weak-provider", Position: SchemeThief, outcomes: row("...... ....... .Sb bb"),
		Summary: "Hijack the code of a provider without PKCE or exact redirects, and relay it into the genuine app on one's own device. At stage 15 the mediator only passes codes on, so PKCE is as good as the provider's, and `lite` has none.",
	},
}
