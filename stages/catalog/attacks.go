package catalog

var attacks = []Attack{
	{
		Name: "unknown-client", Position: Anyone, outcomes: row("bbbbbb bbbbbbb bbb bb"),
		Summary:   "Call the API with credentials that were made up, and with none at all.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{1, CheckAppKey}, {3, CheckClientCert}, {7, CheckAppKey}, {9, CheckHawk}, {11, CheckIntegrity}},
	},
	{
		Name: "flood", Position: OwnDevice, outcomes: row("bbbbbb bbbbbbb bbb bb"),
		Summary:   "Call the API faster than the rate limit allows, with the app's own credentials.",
		Goal:      ExceedLimit,
		blockedBy: []blockedBy{{1, CheckAddressLimit}},
	},
	{
		Name: "wiretap", Position: OnPath, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Listen on the network, then book a transfer with what was heard.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{2, CheckTLS}},
	},
	{
		Name: "url-leak", Position: AccessLog, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Take keys from the URLs in an access log, and book a transfer with them.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{2, CheckKeyInURL}},
	},
	{
		Name: "wire-tamper", Position: OnPath, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Change the payee of the victim's payment on its way, without a certificate that the phone trusts.",
		Goal:      ChangePayee,
		blockedBy: []blockedBy{{2, CheckTLS}},
	},
	{
		Name: "trusted-proxy", Position: OwnDevice, outcomes: row("SSbbbb bSbbbbb bbb bb"),
		Summary:   "Let the unmodified app on one's own phone talk through a proxy that the phone trusts, read its calls, and book a transfer with what they hold.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{3, CheckPins}},
	},
	{
		Name: "repin", Position: OwnDevice, outcomes: row("..SSbb bbbbbbb bbb bb"),
		Summary:   "Replace the pins in the package, sign it anew, and read the app's calls through a proxy.",
		Goal:      ReadData,
		blockedBy: []blockedBy{{5, CheckHidden}, {13, CheckIntegrity}},
	},
	{
		Name: "static-extract", Position: PackageFile, outcomes: row("SSSSbb SSbbbbb bbb bb"),
		Summary:   "Find the secrets in the package file, and book a transfer with a program of one's own.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{5, CheckHidden}, {13, CheckIntegrity}},
	},
	{
		Name: "memory-hook", Position: OwnDevice, outcomes: row("SSSSSS SSSSbbb bbb bb"),
		Summary:   "Take the secrets from the memory of the running app, and book a transfer with a program of one's own.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{11, CheckIntegrity}},
	},
	{
		Name: "repackaged-app", Position: OwnDevice, outcomes: row("SSSSSS SSSSbbb bbb bb"),
		Summary:   "Change the package, sign it anew, and be served through the changed app.",
		Goal:      PassAppLimit,
		blockedBy: []blockedBy{{11, CheckIntegrity}},
	},
	{
		Name: "instrumented-app", Position: OwnDevice, outcomes: row("SSSSSS SSSSSbb bbb bb"),
		Summary:   "Run the genuine app under a debugger, change what it does, and be served all the same.",
		Goal:      PassAppLimit,
		blockedBy: []blockedBy{{12, CheckIntegrity}},
	},
	{
		Name: "hash-spoof", Position: OwnDevice, outcomes: row("...... ....Sbb bbb bb"),
		Summary:   "One's own program reports the hash of the genuine package.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{12, CheckIntegrity}},
	},
	{
		Name: "attestation-replay", Position: OwnDevice, outcomes: row("...... ....Sbb bbb bb"),
		Summary:   "Send an attestation of the genuine app, captured earlier, once more.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{12, CheckIntegrity}},
	},
	{
		Name: "challenge-oracle", Position: OwnDevice, outcomes: row("...... ....SSS SSS bb"),
		Summary: "One's own program answers the attestation service's challenges out of the genuine package file.",
		Goal:    BookTransfer,
	},
	{
		Name: "token-lift", Position: OwnDevice, outcomes: row(".....S SSSSSSS SSS bb"),
		Summary: "Lift live tokens, and the static secrets, from the app's memory, and call from one's own program.",
		Goal:    BookTransfer,
	},
	{
		Name: "replay", Position: LogAfterTLS, outcomes: row("SSSSbb SSbbSSS SSS bb"),
		Summary:   "Send a complete call again that was captured behind the TLS terminator.",
		Goal:      RepeatPayment,
		blockedBy: []blockedBy{{5, CheckNonce}},
	},
	{
		Name: "proxy-tamper", Position: Terminator, outcomes: row("SSSbbb SSbbSSS SSS Sb"),
		Summary:   "Change the payee of the victim's payment behind the TLS terminator.",
		Goal:      ChangePayee,
		blockedBy: []blockedBy{{4, CheckHawk}},
	},
	{
		Name: "stolen-bearer", Position: LogAfterTLS, outcomes: row(".....b SSbbbbb bbb bb"),
		Summary:   "Use the user's session key or access token alone, without a proof of the app.",
		Goal:      ReadData,
		blockedBy: []blockedBy{{6, CheckHawk}, {11, CheckIntegrity}},
	},
	{
		Name: "password-guess", Position: Anyone, outcomes: row(".....b bbbbbbb bbb bb"),
		Summary:   "Try passwords until one fits.",
		Goal:      RobVictim,
		blockedBy: []blockedBy{{6, CheckClientCert}, {7, CheckSignIn}},
	},
	{
		Name: "password-grab", Position: LookAlike, outcomes: row(".....S Sbbbbbb bbb bb"),
		Summary:   "A look-alike app asks for the password, and the user types it in.",
		Goal:      RobVictim,
		blockedBy: []blockedBy{{8, CheckNotTyped}},
	},
	{
		Name: "backup-theft", Position: StorageCopy, outcomes: row(".....S bbbSbbb bbb bb"),
		Summary:   "Take a copy of the app's storage from the victim and the static secrets from one's own device, and act as the victim.",
		Goal:      RobVictim,
		blockedBy: []blockedBy{{7, CheckNotStored}, {11, CheckIntegrity}},
	},
	{
		Name: "backup-restore", Position: StorageCopy, outcomes: row(".....b bbbSSSS SSb bb"),
		Summary:   "Put a copy of the app's storage from the victim into the genuine app on one's own device, and be the victim there.",
		Goal:      RobVictim,
		blockedBy: []blockedBy{{6, CheckBinding}, {7, CheckNotStored}, {16, CheckFamilyDevice}},
	},
	{
		Name: "token-forge", Position: Anyone, outcomes: row("...... bbbbbbb bbb bb"),
		Summary:   "Make a token oneself: algorithm none, confused keys, changed claims, another audience, expired, tricks with kid.",
		Goal:      RobVictim,
		blockedBy: []blockedBy{{7, CheckToken}, {9, CheckHawk}, {11, CheckIntegrity}},
	},
	{
		Name: "agent-spy", Position: UserAgentSpy, outcomes: row("...... .Sbbbbb bbb bb"),
		Summary: "Spy on the URLs in the user agent and use what they show.",
		Goal:    RobVictim, blockedBy: []blockedBy{{9, CheckClient}, {13, CheckIntegrity}},
	},
	{
		Name: "redirect-swap", Position: Anyone, outcomes: row("...... .bbbbbb bbb bb"),
		Summary: "Ask the authorization server to send its answer to another redirect URI.",
		Goal:    RobVictim, blockedBy: []blockedBy{{8, CheckRedirect}, {16, CheckIntegrity}},
	},
	{
		Name: "code-hijack", Position: SchemeThief, outcomes: row("...... .SSSbbb bbb bb"),
		Summary:   "Catch the redirect with a malicious app, and redeem what it carries in one's own program, with hooked secrets.",
		Goal:      RobVictim,
		blockedBy: []blockedBy{{11, CheckIntegrity}},
	},
	{
		Name: "code-relay", Position: SchemeThief, outcomes: row("...... ..SSSSS bbb bb"),
		Summary: "Catch the code with a malicious app, and put it into the genuine app on one's own device.",
		Goal:    RobVictim, blockedBy: []blockedBy{{14, CheckPKCE}, {16, CheckFamilyDevice}},
	},
	{
		Name: "verifier-spy", Position: SpyAndThief, outcomes: row("...... ....... Sbb bb"),
		Summary: "Read the plain challenge in the user agent, and redeem the hijacked code with it and with an integrity token lifted on one's own device.",
		Goal:    RobVictim, blockedBy: []blockedBy{{15, CheckPKCE}, {16, CheckFamilyDevice}},
	},
	{
		Name: "refresh-reuse", Position: StorageCopy, outcomes: row("...... ...bbbb bbb bb"),
		Summary: "Use a refresh token that was already exchanged; the whole family must die.",
		Goal:    RobVictim, blockedBy: []blockedBy{{10, CheckRefresh}, {16, CheckFamilyDevice}},
	},
	{
		Name: "hardware-oracle", Position: OwnDevice, outcomes: row("...... ....... ... bb"),
		Summary: "One's own program has the secure hardware of one's own, unlocked phone sign with the genuine app's key, or drives the genuine app on it.",
	},
	{
		Name: "weak-provider", Position: SchemeThief, outcomes: row("...... ....... .Sb bb"),
		Summary: "Hijack the code of a provider without PKCE or exact redirects, and relay it into the genuine app on one's own device. At stage 15 the mediator only passes codes on, so PKCE is as good as the provider's, and `lite` has none.",
	},
}
