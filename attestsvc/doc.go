// Command attestsvc is Keyladder's attestation service: it looks at apps, and gives them client
// integrity tokens. A program of its own, since it alone is to know what is wrong with an app.
//
//   - server: its routes, what it owns and what it does not
//   - level: how an app is looked at, a file for each level
//   - references: the packages that evidence is compared with
//   - enforcement: who fails for what was found out
//   - results: what was found out, and the devices
//   - history: what happened to references, signers and devices
package main
