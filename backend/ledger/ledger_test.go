package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"keyladder/backend/ledger"
	"keyladder/internal/store"
)

func open(t testing.TB) (*ledger.Ledger, *gorm.DB) {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "ledger.db"))
}

func openAt(t testing.TB, path string) (*ledger.Ledger, *gorm.DB) {
	t.Helper()
	db, err := store.Open(path, ledger.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	l, err := ledger.New(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return l, db
}

func order(change func(*ledger.Order)) ledger.Order {
	o := ledger.Order{
		Payer: "HB-1001", Payee: "HB-2001", Amount: 100, Currency: ledger.Currency, Reference: "Lunch",
		App: "harbour-mobile", Stage: "app-id",
	}
	if change != nil {
		change(&o)
	}
	return o
}

func balance(t testing.TB, l *ledger.Ledger, id string) int64 {
	t.Helper()
	account, err := l.Account(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return account.Balance
}

func sum(t testing.TB, l *ledger.Ledger) int64 {
	t.Helper()
	sum, err := l.Sum(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	ctx := context.Background()
	before := []int64{balance(t, l, "HB-1001"), balance(t, l, "HB-2001")}
	booked, err := l.Transfer(ctx, order(nil))
	if err != nil {
		t.Fatal(err)
	}
	after := []int64{balance(t, l, "HB-1001"), balance(t, l, "HB-2001")}
	if diff := cmp.Diff([]int64{before[0] - 100, before[1] + 100}, after); diff != "" {
		t.Error(diff)
	}
	for _, account := range []string{"HB-1001", "HB-2001"} {
		history, err := l.Transfers(ctx, account, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]ledger.Transfer{booked}, history, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
	}
	if history, _ := l.Transfers(ctx, "HB-3001", 10); len(history) != 0 {
		t.Errorf("a third account's history has %d transfers", len(history))
	}
	if found, _ := l.Find(ctx, "Lunch", 10); len(found) != 1 {
		t.Errorf("%d transfers found by their reference", len(found))
	}
	if found, _ := l.Find(ctx, "Lunc", 10); len(found) != 0 {
		t.Errorf("%d transfers found by a part of their reference", len(found))
	}
}

func TestTransferRefused(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	ctx := context.Background()
	if _, err := l.Freeze(ctx, "HB-9000", true); err != nil {
		t.Fatal(err)
	}
	full := ledger.Account{ID: "HB-FULL", Owner: "bank", Name: "Full", Balance: math.MaxInt64 - 99, Currency: ledger.Currency}
	if err := db.Create(&full).Error; err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*ledger.Order)
		err    error
	}{
		{"zero", func(o *ledger.Order) { o.Amount = 0 }, ledger.ErrAmount},
		{"negative", func(o *ledger.Order) { o.Amount = -1 }, ledger.ErrAmount},
		{"most negative", func(o *ledger.Order) { o.Amount = math.MinInt64 }, ledger.ErrAmount},
		{"more than there is", func(o *ledger.Order) { o.Amount = 5_000_000_01 }, ledger.ErrFunds},
		{"largest", func(o *ledger.Order) { o.Amount = math.MaxInt64 }, ledger.ErrFunds},
		{"other currency", func(o *ledger.Order) { o.Currency = "USD" }, ledger.ErrCurrency},
		{"no currency", func(o *ledger.Order) { o.Currency = "" }, ledger.ErrCurrency},
		{"same account", func(o *ledger.Order) { o.Payee = o.Payer }, ledger.ErrSameAccount},
		{"unknown payer", func(o *ledger.Order) { o.Payer = "HB-0" }, ledger.ErrUnknownPayer},
		{"unknown payee", func(o *ledger.Order) { o.Payee = "HB-0" }, ledger.ErrUnknownPayee},
		{"payee in other case", func(o *ledger.Order) { o.Payee = "hb-2001" }, ledger.ErrUnknownPayee},
		{"no payee", func(o *ledger.Order) { o.Payee = "" }, ledger.ErrUnknownPayee},
		{"somebody else's account", func(o *ledger.Order) { o.User = "mallory" }, ledger.ErrNotOwner},
		{"frozen payee", func(o *ledger.Order) { o.Payee = "HB-9000" }, ledger.ErrFrozen},
		{"frozen payer", func(o *ledger.Order) { o.Payer = "HB-9000" }, ledger.ErrFrozen},
		{"payee overflows", func(o *ledger.Order) { o.Payee = "HB-FULL" }, ledger.ErrOverflow},
		{"reference too long", func(o *ledger.Order) { o.Reference = strings.Repeat("ö", 141) }, ledger.ErrReference},
		{"line end in reference", func(o *ledger.Order) { o.Reference = "a\nb" }, ledger.ErrReference},
		{"NUL in reference", func(o *ledger.Order) { o.Reference = "a\x00b" }, ledger.ErrReference},
		{"C1 control in reference", func(o *ledger.Order) { o.Reference = "a\u0085b" }, ledger.ErrReference},
		{"line separator in reference", func(o *ledger.Order) { o.Reference = "a\u2028b" }, ledger.ErrReference},
		{"text turned around in reference", func(o *ledger.Order) { o.Reference = "a\u202eb" }, ledger.ErrReference},
		{"broken UTF-8 in reference", func(o *ledger.Order) { o.Reference = "a\xffb" }, ledger.ErrReference},
	}
	before, err := l.Accounts(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := l.Transfer(ctx, order(test.change)); !errors.Is(err, test.err) {
				t.Errorf("Transfer = %v, want %v", err, test.err)
			}
		})
	}
	after, err := l.Accounts(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("refused transfers changed accounts:\n%s", diff)
	}
	if booked, _ := l.Latest(ctx, 10); len(booked) != 0 {
		t.Errorf("refused transfers were booked: %v", booked)
	}
}

func TestTransferAccepted(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	ctx := context.Background()
	for name, change := range map[string]func(*ledger.Order){
		"own account":         func(o *ledger.Order) { o.User = "alice" },
		"no reference":        func(o *ledger.Order) { o.Reference = "" },
		"longest reference":   func(o *ledger.Order) { o.Reference = strings.Repeat("ö", 140) },
		"SQL in reference":    func(o *ledger.Order) { o.Reference = "'; DROP TABLE accounts; --" },
		"emoji in reference":  func(o *ledger.Order) { o.Reference = "👩‍🍳 Lunch" },
		"everything there is": func(o *ledger.Order) { o.Payer, o.Amount = "HB-1002", 12_500_00 },
	} {
		if _, err := l.Transfer(ctx, order(change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTransferKeepsSum orders at random, from several goroutines at a time, and
// compares the ledger with what was acknowledged.
func TestTransferKeepsSum(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	ctx := context.Background()
	accounts := []string{"HB-1001", "HB-1002", "HB-2001", "HB-3001", "HB-9000"}
	generator := rapid.Custom(func(t *rapid.T) ledger.Order {
		return order(func(o *ledger.Order) {
			o.Payer = rapid.SampledFrom(accounts).Draw(t, "payer")
			o.Payee = rapid.SampledFrom(accounts).Draw(t, "payee")
			o.Amount = rapid.OneOf(rapid.Int64Range(1, 20_000_00), rapid.Int64()).Draw(t, "amount")
		})
	})
	rapid.Check(t, func(rt *rapid.T) {
		if err := l.Reset(ctx); err != nil {
			rt.Fatal(err)
		}
		want := map[string]int64{}
		for _, id := range accounts {
			want[id] = balance(t, l, id)
		}
		total := sum(t, l)
		var mu sync.Mutex
		var wait sync.WaitGroup
		for _, o := range rapid.SliceOfN(generator, 1, 8).Draw(rt, "orders") {
			wait.Go(func() {
				if booked, err := l.Transfer(ctx, o); err == nil {
					mu.Lock()
					want[booked.Payer] -= booked.Amount
					want[booked.Payee] += booked.Amount
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		got := map[string]int64{}
		for _, id := range accounts {
			if got[id] = balance(t, l, id); got[id] < 0 {
				rt.Errorf("%s is overdrawn: %d", id, got[id])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Error(diff)
		}
		if now := sum(t, l); now != total {
			rt.Errorf("the sum was %d and is %d", total, now)
		}
	})
}

// TestLastMoney lets many spend the same money at once: one of them may.
func TestLastMoney(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	var mu sync.Mutex
	var wait sync.WaitGroup
	served := 0
	for range 20 {
		wait.Go(func() {
			_, err := l.Transfer(context.Background(), order(func(o *ledger.Order) { o.Payer, o.Payee, o.Amount = "HB-2001", "HB-1001", 1_840_50 }))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				served++
			case !errors.Is(err, ledger.ErrFunds):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if served != 1 {
		t.Errorf("the same money was spent %d times", served)
	}
}

// TestReadsDoNotWait reads and writes while another reader is in the middle of a
// result, and reads while a writer is in the middle of its transaction.
func TestReadsDoNotWait(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, db := openAt(t, path)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second) // below the busy timeout
	defer cancel()

	rows, err := db.Raw("SELECT id FROM accounts").Rows()
	if err != nil {
		t.Fatal(err)
	}
	rows.Next()
	if _, err := l.Transfer(ctx, order(nil)); err != nil {
		t.Errorf("a transfer waits for a reader: %v", err)
	}
	rows.Close()

	writer := db.Begin()
	defer writer.Rollback()
	if err := writer.Exec("UPDATE accounts SET name = 'half-way'").Error; err != nil {
		t.Fatal(err)
	}
	accounts, err := l.Accounts(ctx, "")
	if err != nil {
		t.Fatalf("a reader waits for a writer: %v", err)
	}
	if accounts[0].Name == "half-way" {
		t.Error("a reader sees what is not committed")
	}
}

func TestWriterGivesUpWithItsCaller(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Transfer(ctx, order(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("Transfer = %v", err)
	}
	if _, err := l.Transfer(context.Background(), order(nil)); err != nil {
		t.Errorf("the next transfer: %v", err)
	}
}

func TestFreezeAndThaw(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	ctx := context.Background()
	if account, err := l.Freeze(ctx, "HB-1001", true); err != nil || !account.Frozen {
		t.Fatalf("Freeze = %+v, %v", account, err)
	}
	if _, err := l.Transfer(ctx, order(nil)); !errors.Is(err, ledger.ErrFrozen) {
		t.Errorf("from a frozen account: %v", err)
	}
	if _, err := l.Freeze(ctx, "HB-1001", false); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Transfer(ctx, order(nil)); err != nil {
		t.Errorf("from a thawed account: %v", err)
	}
	if _, err := l.Freeze(ctx, "HB-0", true); !errors.Is(err, ledger.ErrUnknownAccount) {
		t.Errorf("an unknown account: %v", err)
	}
}

func TestSurvivesRestartAndReset(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	ctx := context.Background()
	first, db := openAt(t, path)
	seeded, _ := first.Accounts(ctx, "")
	booked, err := first.Transfer(ctx, order(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	second, _ := openAt(t, path)
	if found, _ := second.Find(ctx, "Lunch", 1); len(found) != 1 {
		t.Fatal("an acknowledged transfer is gone after a restart")
	}
	if err := second.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	reset, _ := second.Accounts(ctx, "")
	if diff := cmp.Diff(seeded, reset); diff != "" {
		t.Error(diff)
	}
	again, err := second.Transfer(ctx, order(nil))
	if err != nil {
		t.Fatal(err)
	}
	if again.ID <= booked.ID {
		t.Errorf("the ID %d was given again after %d", again.ID, booked.ID)
	}
}

func TestAccountsOfOwner(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	accounts, err := l.Accounts(context.Background(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, account := range accounts {
		got += fmt.Sprint(account.ID, " ")
	}
	if got != "HB-1001 HB-1002 " {
		t.Errorf("alice has %s", got)
	}
}
