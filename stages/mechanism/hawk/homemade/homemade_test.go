package homemade

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"testing"
)

// Two texts with the same MD5, published by Marc Stevens in March 2024
// (https://x.com/realhashbreaker/status/1770161965006008570).
const (
	one = "TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"
	two = "TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"
)

func mac(of func() hash.Hash, message, key string) string {
	m := hmac.New(of, []byte(key))
	m.Write([]byte(message))
	return hex.EncodeToString(m.Sum(nil))
}

func Example() {
	const secret = "nobody knows this"
	fmt.Println(one == two)
	fmt.Println(KeyLast(one, secret))
	fmt.Println(KeyLast(two, secret))
	fmt.Println("but HMAC:")
	fmt.Println(mac(md5.New, one, secret))
	fmt.Println(mac(md5.New, two, secret))
	// Output:
	// false
	// f45cc13415d0344b53a75e46bdb1bf29
	// f45cc13415d0344b53a75e46bdb1bf29
	// but HMAC:
	// 1bde48e54e0c39b96b62379b797df6f9
	// 876e4eadcf1fd28c600bde474c93a1c9
}

func ExampleExtend() {
	const secret, message = "nobody knows this", "to=HB-2001&amount=100"
	overheard := KeyFirst(message, secret)
	added, forged, err := Extend(overheard, len(secret)+len(message), "&to=HB-3001")
	if err != nil {
		panic(err)
	}
	fmt.Println(forged == KeyFirst(message+added, secret))
	fmt.Println(forged == KeyFirst(message+"&to=HB-3001", secret)) // without the padding
	// Output:
	// true
	// false
}

// A tag with the key at the end can't tell the two texts apart, whatever the key is; one with
// the key at the beginning can, and HMAC under any hash.
func TestCollision(t *testing.T) {
	t.Parallel()
	for range 100 {
		key := rand.Text()
		if KeyLast(one, key) != KeyLast(two, key) {
			t.Fatalf("the tags under %q differ", key)
		}
		if KeyLast(one, key) == KeyLast(one+" ", key) || KeyLast(one, key) == KeyLast(one, key+" ") {
			t.Fatal("all have the same tag")
		}
		if KeyFirst(one, key) == KeyFirst(two, key) {
			t.Errorf("they collide behind %q, too", key)
		}
		if mac(md5.New, one, key) == mac(md5.New, two, key) || mac(sha256.New, one, key) == mac(sha256.New, two, key) {
			t.Errorf("they collide in HMAC under %q", key)
		}
	}
}

// Extend makes good tags of all lengths, and none of HMAC.
func TestExtend(t *testing.T) {
	t.Parallel()
	for length := range 200 {
		key, message := rand.Text(), strings.Repeat("m", length)
		added, forged, err := Extend(KeyFirst(message, key), len(key)+length, "&to=HB-3001")
		if err != nil {
			t.Fatal(err)
		}
		if forged != KeyFirst(message+added, key) || !strings.HasSuffix(added, "&to=HB-3001") {
			t.Errorf("after %d bytes: %q is no tag of %q", length, forged, message+added)
		}
		added, forged, err = Extend(mac(md5.New, message, key), len(key)+length, "&to=HB-3001")
		if err != nil {
			t.Fatal(err)
		}
		if forged == mac(md5.New, message+added, key) {
			t.Errorf("HMAC is extended after %d bytes", length)
		}
	}
	for _, tag := range []string{"", "zz", "abcd", strings.Repeat("g", 32), strings.Repeat("0", 64)} {
		if _, _, err := Extend(tag, 10, ""); !errors.Is(err, ErrTag) {
			t.Errorf("%q: %v", tag, err)
		}
	}
}
