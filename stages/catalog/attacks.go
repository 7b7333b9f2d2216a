package catalog

var attacks = []Attack{
	{
		Name: "unknown-client", Position: Anyone, outcomes: row("bbbbbb bbbbbbb bbb bb"),
		Summary:   "Invented or missing credentials.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{1, "app-key"}, {3, "client-certificate"}},
	},
	{
		Name: "flood", Position: OwnDevice, outcomes: row("bbbbbb bbbbbbb bbb bb"),
		Summary:   "Past the rate limit.",
		Goal:      ExceedLimit,
		blockedBy: []blockedBy{{1, "address-limit"}},
	},
	{
		Name: "wiretap", Position: OnPath, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Listen, then book a transfer with what was heard.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{2, "tls"}},
	},
	{
		Name: "url-leak", Position: AccessLog, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Take keys from logged URLs.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{2, "key-in-url"}},
	},
	{
		Name: "wire-tamper", Position: OnPath, outcomes: row("Sbbbbb bbbbbbb bbb bb"),
		Summary:   "Change the payee in flight.",
		Goal:      ChangePayee,
		blockedBy: []blockedBy{{2, "tls"}},
	},
	{
		Name: "trusted-proxy", Position: OwnDevice, outcomes: row("SSbbbb bbbbbbb bbb bb"),
		Summary:   "Read its calls, book one's own.",
		Goal:      BookTransfer,
		blockedBy: []blockedBy{{3, "pins"}},
	},
	{
		Name: "repin", Position: OwnDevice, outcomes: row("..SSbb bbbbbbb bbb bb"),
		Summary: "Replace the pins in the package, sign it anew, read its calls through a proxy.",
		Goal:    ReadData,
	},
	{
		Name: "static-extract", Position: PackageFile, outcomes: row("SSSSbb SSbbbbb bbb bb"),
		Summary: "Find the secrets in it, call from one's own program.",
		Goal:    BookTransfer,
	},
	{
		Name: "memory-hook", Position: OwnDevice, outcomes: row("SSSSSS SSSSbbb bbb bb"),
		Summary: "Take the static secrets from the running app's memory, call from one's own program.",
		Goal:    BookTransfer,
	},
	{
		Name: "repackaged-app", Position: OwnDevice, outcomes: row("SSSSSS SSSSbbb bbb bb"),
		Summary: "Change the package, sign it anew, be served through it.",
		Goal:    PassAppLimit,
	},
	{
		Name: "instrumented-app", Position: OwnDevice, outcomes: row("SSSSSS SSSSSbb bbb bb"),
		Summary: "The genuine app under a debugger is served.",
		Goal:    PassAppLimit,
	},
	{
		Name: "hash-spoof", Position: OwnDevice, outcomes: row("...... ....Sbb bbb bb"),
		Summary: "One's own program reports the genuine hash.",
	},
	{
		Name: "attestation-replay", Position: OwnDevice, outcomes: row("...... ....Sbb bbb bb"),
		Summary: "Send an earlier genuine attestation again.",
	},
	{
		Name: "challenge-oracle", Position: OwnDevice, outcomes: row("...... ....SSS SSS bb"),
		Summary: "One's own program answers challenges out of the genuine package file.",
	},
	{
		Name: "token-lift", Position: OwnDevice, outcomes: row(".....S SSSSSSS SSS bb"),
		Summary: "Lift live tokens (and static secrets) from the app's memory, call from one's own program.",
	},
	{
		Name: "replay", Position: LogAfterTLS, outcomes: row("SSSSbb SSbbSSS SSS bb"),
		Summary: "Send a complete captured call again.",
		Goal:    RepeatPayment,
	},
	{
		Name: "proxy-tamper", Position: Terminator, outcomes: row("SSSbbb SSbbSSS SSS Sb"),
		Summary: "Change the payee after TLS ends.",
		Goal:    ChangePayee,
	},
	{
		Name: "stolen-bearer", Position: LogAfterTLS, outcomes: row(".....b SSbbbbb bbb bb"),
		Summary: "Use the user's session key or access token alone.",
	},
	{
		Name: "password-guess", Position: Anyone, outcomes: row(".....b bbbbbbb bbb bb"),
		Summary: "Try passwords.",
	},
	{
		Name: "password-grab", Position: LookAlike, outcomes: row(".....S Sbbbbbb bbb bb"),
		Summary: "Be handed the password.",
	},
	{
		Name: "backup-theft", Position: StorageCopy, outcomes: row(".....S bbbSbbb bbb bb"),
		Summary: "Copy of the app's storage, secrets hooked on one's own device.",
	},
	{
		Name: "token-forge", Position: Anyone, outcomes: row("...... bbbbbbb bbb bb"),
		Summary: "Alg none, key confusion, changed claims, other audience, expired, kid tricks.",
	},
	{
		Name: "agent-spy", Position: UserAgentSpy, outcomes: row("...... .Sbbbbb bbb bb"),
		Summary: "Use what its URLs show.",
	},
	{
		Name: "redirect-swap", Position: Anyone, outcomes: row("...... .bbbbbb bbb bb"),
		Summary: "Ask for another redirect URI.",
	},
	{
		Name: "code-hijack", Position: SchemeThief, outcomes: row("...... .SSSbbb bbb bb"),
		Summary: "Redeem what the redirect carries in one's own program, with hooked secrets.",
	},
	{
		Name: "code-relay", Position: SchemeThief, outcomes: row("...... ..SSSSS bbb bb"),
		Summary: "Put the hijacked code into the genuine app on one's own device.",
	},
	{
		Name: "verifier-spy", Position: UserAgentSpy, outcomes: row("...... ....... Sbb bb"),
		Summary: "Spy in the user agent, hijacked code, integrity token lifted on one's own device.",
	},
	{
		Name: "refresh-reuse", Position: StorageCopy, outcomes: row("...... ...bbbb bbb bb"),
		Summary: "Use it again; the family must die.",
	},
	{
		Name: "weak-provider", Position: SchemeThief, outcomes: row("...... ....... .Sb bb"),
		Summary: "Hijacked code of a provider without PKCE or exact redirects, relayed into the genuine app on one's own device; at 15 the mediator only passes codes on, so PKCE is as good as the provider: with `lite`, none.",
	},
}
