// Package attestation is the pages about the attestation service: what it found out about apps,
// what it compares evidence with, and what becomes of what it finds out.
//
//	GET  /attestations                     ?search=, ?stage=, ?client=, ?device=, ?outcome=, ?sort=, ?page=; keeps itself up to date
//	GET  /attestations/rows                what came after ?after=, for the page's script
//	GET  /attestations/{reference}         one, with the reasons
//	GET  /attestations/sessions            ?stage=, ?state=
//	GET  /attestations/enforcement         what is in force, what it does, what it would do
//	GET  /attestations/enforcement/change  asks: ?stage=, ?claim=, ?policy=; POST changes it
//	GET  /attestations/releases            packages and signers; POST registers a package (a file in a form)
//	GET  /attestations/releases/{sha256}/withdraw  asks; POST withdraws it
//	POST /attestations/releases/{sha256}/restore
//	GET  /attestations/signers/withdraw    asks: ?client=, ?signer=; POST withdraws one
//	POST /attestations/signers             accepts one, by the pin of the key
//	GET  /attestations/makers              certificates that lead to devices, devices that are revoked, and boot keys
//	GET  /attestations/makers/certificates/revoke  asks: ?serial=
//	POST /attestations/makers/certificates/{serial}/revoke, /attestations/makers/certificates/{serial}/restore
//	POST /attestations/makers/systems      accepts a boot key, by its pin
//	GET  /attestations/makers/systems/withdraw  asks: ?key=; POST withdraws it
//	GET  /attestations/devices             ?search=, ?stage=, ?state=
//	GET  /attestations/devices/{device}    one, with its history
//	POST /attestations/devices/{device}/ban, /attestations/devices/{device}/lift
//	GET  /attestations/answers             good and failing answers side by side
//	GET  /attestations/clock               ?device=: when a device's tokens were issued, renewed, and expire
//
// It keeps nothing: all of it belongs to the attestation service.
package attestation

//go:generate go tool templ generate
