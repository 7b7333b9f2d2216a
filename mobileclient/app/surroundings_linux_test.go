package main

import "testing"

// TestForeign reads maps as Linux writes them.
func TestForeign(t *testing.T) {
	t.Parallel()
	const own = "/memfd:com.harbourbank.app (deleted)"
	const genuine = "00400000-0078c000 r-xp 00000000 00:01 1034                               " + own + "\n" +
		"0078c000-00c5d000 r--p 0038c000 00:01 1034                               " + own + "\n" +
		"c000000000-c000400000 rw-p 00000000 00:00 0                              [anon: Go: heap]\n" +
		"7f1c3c000000-7f1c3c021000 rw-p 00000000 00:00 0 \n" +
		"7fffd7a5e000-7fffd7a60000 r-xp 00000000 00:00 0                          [vdso]\n" +
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
	for name, test := range map[string]struct {
		maps string
		want bool
	}{
		"the app alone":       {genuine, false},
		"a library":           {genuine + "7f1c3c100000-7f1c3c200000 r-xp 00000000 08:01 77  /usr/lib/x86_64-linux-gnu/libc.so.6\n", true},
		"data of a library":   {genuine + "7f1c3c100000-7f1c3c200000 r--p 00000000 08:01 77  /usr/lib/x86_64-linux-gnu/libc.so.6\n", false},
		"memory with code":    {genuine + "7f1c3c100000-7f1c3c200000 rwxp 00000000 00:00 0 \n", true},
		"another of its name": {genuine + "7f1c3c100000-7f1c3c200000 r-xp 00000000 00:01 9 /memfd:com.harbourbank.app\n", true},
	} {
		if got := foreign(test.maps, own); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestPreloaded: a variable is enough.
func TestPreloaded(t *testing.T) {
	for _, name := range loaders {
		t.Setenv(name, "")
	}
	if preloaded() {
		t.Error("there is nothing to preload")
	}
	t.Setenv("LD_PRELOAD", "/tmp/hook.so")
	if !preloaded() || !injected() {
		t.Error("what is to be preloaded is not seen")
	}
}
