// Package hardware is the secure hardware of a device: a part of its own, beside the processor on which
// the system and the apps run, that keeps keys and signs with them. Nobody gets a private key out of
// it, not even the app whose key it is.
//
// Here it is a process of its own, which the device starts and speaks to over a socket that it inherits
// (JSON-RPC, net/rpc). Its keys are in a folder of its own, in none of the apps': a copy of an app's
// memory has no key in it, nor has one of its storage. On Linux no other program of the same user may
// look into the process, either.
//
// It has these keys, all for ECDSA on P-256:
//
//   - the device's, which came out of the factory with a certificate ([Made]), and signs nothing but
//     evidence (package evidence);
//   - one for each app and signer, made when the app first asks for it, which signs what the app
//     likes. Another app gets another key, and so does an app of that name that somebody else has signed.
//
// Which app is asking the system says ([App]), which has started it and measured its package. So the
// hardware has to know whether it can believe the system: the boot loader says so before anything else
// ([Client.Boot]), and it is in all evidence. Keys of apps belong to the system under which they were made: with
// another one, or when the boot loader is locked or unlocked, they are gone.
//
// This program is any program that imports the package: started again under another name, it is the
// hardware instead of what it would be otherwise (process.go).
package hardware
