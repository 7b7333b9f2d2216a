package catalog

import "slices"

// List is where an [Identifier] comes from.
type List string

// The lists.
const (
	APITop10 List = "OWASP API Security Top 10, 2023"
	MASVS    List = "OWASP MASVS 2.1" // Mobile Application Security Verification Standard
	MASTG    List = "OWASP MASTG 1.7" // Mobile Application Security Testing Guide; its tests for Android
)

// Identifier is the name of a risk, of a control or of a test in a list that people in the field share.
type Identifier struct {
	ID    string // API2:2023, MASVS-NETWORK-1, MASTG-TEST-0019
	Title string // as the list has it
	List  List
}

// identifiers are those that stages or attacks are about, and all ten of the API Security Top 10. Titles
// were read in the lists' own repositories (OWASP/API-Security, editions/2023/en/0x11-t10.md;
// OWASP/owasp-masvs, controls/), and those of tests in OWASP/cornucopia, data/taxonomy/en/MASTG-1.7.0.
var identifiers = []Identifier{
	{"API1:2023", "Broken Object Level Authorization", APITop10},
	{"API2:2023", "Broken Authentication", APITop10},
	{"API3:2023", "Broken Object Property Level Authorization", APITop10},
	{"API4:2023", "Unrestricted Resource Consumption", APITop10},
	{"API5:2023", "Broken Function Level Authorization", APITop10},
	{"API6:2023", "Unrestricted Access to Sensitive Business Flows", APITop10},
	{"API7:2023", "Server Side Request Forgery", APITop10},
	{"API8:2023", "Security Misconfiguration", APITop10},
	{"API9:2023", "Improper Inventory Management", APITop10},
	{"API10:2023", "Unsafe Consumption of APIs", APITop10},

	{"MASVS-STORAGE-1", "The app securely stores sensitive data.", MASVS},
	{"MASVS-STORAGE-2", "The app prevents leakage of sensitive data.", MASVS},
	{"MASVS-CRYPTO-2", "The app performs key management according to industry best practices.", MASVS},
	{"MASVS-AUTH-1", "The app uses secure authentication and authorization protocols and follows the relevant best practices.", MASVS},
	{"MASVS-NETWORK-1", "The app secures all network traffic according to the current best practices.", MASVS},
	{"MASVS-NETWORK-2", "The app performs identity pinning for all remote endpoints under the developer's control.", MASVS},
	{"MASVS-PLATFORM-1", "The app uses IPC mechanisms securely.", MASVS},
	{"MASVS-RESILIENCE-1", "The app validates the integrity of the platform.", MASVS},
	{"MASVS-RESILIENCE-2", "The app implements anti-tampering mechanisms.", MASVS},
	{"MASVS-RESILIENCE-3", "The app implements anti-static analysis mechanisms.", MASVS},
	{"MASVS-RESILIENCE-4", "The app implements anti-dynamic analysis techniques.", MASVS},

	{"MASTG-TEST-0001", "Testing Local Storage for Sensitive Data", MASTG},
	{"MASTG-TEST-0009", "Testing Backups for Sensitive Data", MASTG},
	{"MASTG-TEST-0011", "Testing Memory for Sensitive Data", MASTG},
	{"MASTG-TEST-0019", "Testing Data Encryption on the Network", MASTG},
	{"MASTG-TEST-0021", "Testing Endpoint Identify Verification", MASTG}, // as the list spells it
	{"MASTG-TEST-0022", "Testing Custom Certificate Stores and Certificate Pinning", MASTG},
	{"MASTG-TEST-0028", "Testing Deep Links", MASTG},
	{"MASTG-TEST-0038", "Making Sure that the App is Properly Signed", MASTG},
	{"MASTG-TEST-0045", "Testing Root Detection", MASTG},
	{"MASTG-TEST-0046", "Testing Anti-Debugging Detection", MASTG},
	{"MASTG-TEST-0047", "Testing File Integrity Checks", MASTG},
	{"MASTG-TEST-0050", "Testing Runtime Integrity Checks", MASTG},
	{"MASTG-TEST-0051", "Testing Obfuscation", MASTG},
}

// ofStages are, by the slug, what a stage does something about that the one before did not.
var ofStages = map[string][]string{
	"app-id":             {"API4:2023", "API5:2023"},
	"tls":                {"API8:2023", "MASVS-NETWORK-1", "MASTG-TEST-0019", "MASTG-TEST-0021"},
	"pinned-mtls":        {"MASVS-NETWORK-2", "MASTG-TEST-0022"},
	"hmac":               {"API2:2023"},
	"hidden-secrets":     {"MASVS-RESILIENCE-3", "MASTG-TEST-0051"},
	"user-session":       {"API1:2023", "API2:2023", "API5:2023", "MASVS-AUTH-1"},
	"password-grant":     {"API2:2023", "MASVS-AUTH-1"},
	"implicit-grant":     {"API2:2023", "MASVS-AUTH-1"},
	"code-grant":         {"API2:2023", "MASVS-AUTH-1"},
	"refresh":            {"API2:2023", "MASVS-AUTH-1"},
	"attested-hash":      {"API6:2023", "MASVS-RESILIENCE-2", "MASTG-TEST-0038", "MASTG-TEST-0047"},
	"attested-challenge": {"API6:2023", "MASVS-RESILIENCE-1", "MASVS-RESILIENCE-4", "MASTG-TEST-0045", "MASTG-TEST-0046", "MASTG-TEST-0050"},
	"mediated":           {"MASVS-CRYPTO-2", "MASVS-AUTH-1"},
	"pkce-plain":         {"MASVS-AUTH-1", "MASVS-PLATFORM-1", "MASTG-TEST-0028"},
	"pkce-s256":          {"MASVS-AUTH-1", "MASVS-PLATFORM-1", "MASTG-TEST-0028"},
	"extended-mediator":  {"API2:2023", "API10:2023", "MASVS-AUTH-1"},
	"device-bound":       {"API2:2023", "MASVS-CRYPTO-2", "MASVS-RESILIENCE-1", "MASTG-TEST-0045"},
	"signed-calls":       {"API2:2023", "MASVS-CRYPTO-2", "MASVS-NETWORK-1"},
}

// ofAttacks are, by the name, what an attack makes use of.
var ofAttacks = map[string][]string{
	"unknown-client":     {"API2:2023"},
	"flood":              {"API4:2023"},
	"wiretap":            {"API8:2023", "MASVS-NETWORK-1", "MASTG-TEST-0019"},
	"url-leak":           {"API2:2023"},
	"wire-tamper":        {"API8:2023", "MASVS-NETWORK-1", "MASTG-TEST-0019", "MASTG-TEST-0021"},
	"trusted-proxy":      {"MASVS-NETWORK-2", "MASTG-TEST-0022"},
	"repin":              {"MASVS-NETWORK-2", "MASVS-RESILIENCE-2", "MASTG-TEST-0022", "MASTG-TEST-0047"},
	"static-extract":     {"MASVS-CRYPTO-2", "MASVS-RESILIENCE-3", "MASTG-TEST-0051"},
	"memory-hook":        {"MASVS-RESILIENCE-4", "MASTG-TEST-0011"},
	"repackaged-app":     {"API6:2023", "MASVS-RESILIENCE-2", "MASTG-TEST-0038", "MASTG-TEST-0047"},
	"instrumented-app":   {"API6:2023", "MASVS-RESILIENCE-4", "MASTG-TEST-0046", "MASTG-TEST-0050"},
	"hash-spoof":         {"API6:2023", "MASVS-RESILIENCE-2"},
	"attestation-replay": {"API6:2023", "MASVS-RESILIENCE-2"},
	"challenge-oracle":   {"API6:2023", "MASVS-RESILIENCE-2"},
	"token-lift":         {"API2:2023", "MASVS-RESILIENCE-4", "MASTG-TEST-0011"},
	"replay":             {"API2:2023"},
	"proxy-tamper":       {"API2:2023", "MASVS-NETWORK-1"},
	"stolen-bearer":      {"API2:2023"},
	"password-guess":     {"API2:2023", "API4:2023"},
	"password-grab":      {"API2:2023", "MASVS-AUTH-1"},
	"backup-theft":       {"API2:2023", "MASVS-STORAGE-1", "MASVS-STORAGE-2", "MASTG-TEST-0001", "MASTG-TEST-0009"},
	"backup-restore":     {"API2:2023", "MASVS-STORAGE-1", "MASVS-STORAGE-2", "MASTG-TEST-0001", "MASTG-TEST-0009"},
	"token-forge":        {"API2:2023"},
	"agent-spy":          {"API2:2023", "MASVS-AUTH-1"},
	"redirect-swap":      {"API2:2023", "MASVS-AUTH-1"},
	"code-hijack":        {"API2:2023", "MASVS-PLATFORM-1", "MASTG-TEST-0028"},
	"code-relay":         {"API2:2023", "MASVS-PLATFORM-1", "MASTG-TEST-0028"},
	"verifier-spy":       {"API2:2023", "MASVS-AUTH-1", "MASVS-PLATFORM-1", "MASTG-TEST-0028"},
	"refresh-reuse":      {"API2:2023", "MASVS-AUTH-1"},
	"hardware-oracle":    {"MASVS-CRYPTO-2", "MASVS-RESILIENCE-1", "MASTG-TEST-0045"},
	"weak-provider":      {"API2:2023", "API10:2023", "MASVS-PLATFORM-1"},
}

// unused are those that nothing here is about, each with why.
var unused = map[string]string{
	"API3:2023": "Accounts and transfers have no member that some callers may see or set and others may not.",
	"API7:2023": "No call has the API fetch an address. Providers' addresses are the admin's to set.",
	"API9:2023": "All stages are one API, from one registry, and what it does not list is not served.",
}

// Identifiers are all, in the order of their lists.
func Identifiers() []Identifier { return slices.Clone(identifiers) }

// Unused says why no stage and no attack is about an identifier; empty: some are.
func (i Identifier) Unused() string { return unused[i.ID] }

// Identifiers are what the stage does something about that the one before did not.
func (s Stage) Identifiers() []Identifier { return identified(ofStages[s.Slug]) }

// Identifiers are what the attack makes use of.
func (a Attack) Identifiers() []Identifier { return identified(ofAttacks[a.Name]) }

func identified(ids []string) (some []Identifier) {
	for _, i := range identifiers {
		if slices.Contains(ids, i.ID) {
			some = append(some, i)
		}
	}
	return some
}
