// Package homemade has two MACs that people make up out of a hash, and shows how they are
// forged without the key. Nothing uses them: they are what HMAC (RFC 2104) is for, which
// package hawk has.
//
// # The key at the end
//
// A popular answer to how an app should sign its calls is md5(md5(url + data) + key). Its
// key comes into play after the message has been hashed. So two messages with the same hash
// have the same tag under every key, and whoever has the tag of the one has that of the other.
// For MD5 such pairs have been known since 2004 (Wang, Feng, Lai, Yu, "Collisions for Hash
// Functions MD4, MD5, HAVAL-128 and RIPEMD"); for any beginning that an attacker wants, one is
// made in seconds. No attempt is ever seen by a server.
//
// # The key at the beginning
//
// MD5, SHA-1 and SHA-256 work through a message in blocks, and what they return is their
// state after the last one. Anyone who has hash(key + message) can therefore go on where it ended,
// without the key ([Extend]). The better hash does not help here.
//
// # What HMAC does
//
// HMAC hashes twice, with the key at the beginning both times. A collision would have to be
// found with an unknown key in front, and the outer hash hides the state that could be
// extended. Even HMAC-MD5 does not fall to either, although nobody should choose it any more
// (RFC 6151). Hawk here uses HMAC-SHA256.
package homemade

import (
	"bytes"
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeyLast is md5(md5(message) + key), both hashes in hexadecimal.
//
//keyladder:code homemade-key-last
func KeyLast(message, key string) string { return hashed(hashed(message) + key) }

// KeyFirst is md5(key + message) in hexadecimal.
func KeyFirst(message, key string) string { return hashed(key + message) }

func hashed(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ErrTag means that a text is not the MD5 hash in hexadecimal that it should be.
var ErrTag = errors.New("not an MD5 hash")

// Extend forges a tag of [KeyFirst]. From that of a message it makes the one of the message
// with something added. It needs to know how long key and message are together, in bytes, and
// neither of them. The addition comes after padding, with which MD5 fills its last block.
//
//keyladder:code homemade-extend
func Extend(tag string, length int, addition string) (added, forged string, err error) {
	state, err := hex.DecodeString(tag)
	if err != nil || len(state) != md5.Size {
		return "", "", fmt.Errorf("extend %q: %w", tag, ErrTag)
	}
	pad := padding(length)
	// crypto/md5 can be set to a state: the four words of the hash, and how many whole
	// blocks went in. That is all that there is to know of what came before.
	saved := []byte("md5\x01")
	for word := range 4 {
		saved = binary.BigEndian.AppendUint32(saved, binary.LittleEndian.Uint32(state[word*4:]))
	}
	saved = append(saved, make([]byte, md5.BlockSize)...)
	saved = binary.BigEndian.AppendUint64(saved, uint64(length+len(pad)))
	h := md5.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(saved); err != nil {
		return "", "", fmt.Errorf("go on from a hash: %w", err)
	}
	h.Write([]byte(addition))
	return string(pad) + addition, hex.EncodeToString(h.Sum(nil)), nil
}

// padding is what MD5 adds to a message of that many bytes: a bit, zeros, and the length in
// bits, up to the end of a block (RFC 1321, sections 3.1 and 3.2).
func padding(length int) []byte {
	zeros := (md5.BlockSize - (length+1+8)%md5.BlockSize) % md5.BlockSize
	return binary.LittleEndian.AppendUint64(append([]byte{0x80}, bytes.Repeat([]byte{0}, zeros)...), uint64(length)*8)
}
