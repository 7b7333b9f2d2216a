package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"keyladder/internal/manage"
	"keyladder/mobileclient/phone"
)

// table prints rows with their columns aligned.
func table(out io.Writer, rows func(line func(format string, args ...any))) error {
	var text bytes.Buffer // in one piece, for a reader that leaves after the first lines
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	rows(func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) })
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}

func printRates(out io.Writer, body []byte) error {
	var rates phone.Rates
	if err := json.Unmarshal(body, &rates); err != nil {
		return unreadable(err)
	}
	return table(out, func(line func(string, ...any)) {
		line("CURRENCY\tFOR 1 %s", printable(rates.Base))
		for _, currency := range slices.Sorted(maps.Keys(rates.Rates)) {
			line("%s\t%s", printable(currency), printable(rates.Rates[currency]))
		}
	})
}

func printMarketRates(out io.Writer, body []byte) error {
	var market phone.MarketRates
	if err := json.Unmarshal(body, &market); err != nil {
		return unreadable(err)
	}
	return table(out, func(line func(string, ...any)) {
		line("CURRENCY\tBOUGHT FOR 1 %s\tSOLD FOR 1 %[1]s", printable(market.Base))
		for _, currency := range slices.Sorted(maps.Keys(market.Rates)) {
			line("%s\t%s\t%s", printable(currency), printable(market.Rates[currency].Bid), printable(market.Rates[currency].Ask))
		}
	})
}

func printAccounts(out io.Writer, body []byte) error {
	var answer phone.Accounts
	if err := json.Unmarshal(body, &answer); err != nil {
		return unreadable(err)
	}
	widest := 0
	for _, account := range answer.Accounts {
		widest = max(widest, utf8.RuneCountInString(phone.FormatAmount(account.Balance)))
	}
	return table(out, func(line func(string, ...any)) {
		line("ACCOUNT\tOWNER\tNAME\t%*s\t", widest+len(" EUR"), "BALANCE")
		for _, account := range answer.Accounts {
			state := ""
			if account.Frozen {
				state = "frozen"
			}
			line("%s\t%s\t%s\t%*s %s\t%s", printable(account.ID), printable(account.Owner), printable(account.Name),
				widest, phone.FormatAmount(account.Balance), printable(account.Currency), state)
		}
	})
}

func printTransfers(out io.Writer, body []byte) error {
	var answer phone.Transfers
	if err := json.Unmarshal(body, &answer); err != nil {
		return unreadable(err)
	}
	return table(out, func(line func(string, ...any)) {
		line("BOOKED (UTC)\tFROM\tTO\tAMOUNT\tREFERENCE")
		for _, transfer := range answer.Transfers {
			line("%s\t%s\t%s\t%s %s\t%q", transfer.BookedAt.UTC().Format("2006-01-02 15:04:05"), printable(transfer.From), printable(transfer.To),
				phone.FormatAmount(transfer.Amount), printable(transfer.Currency), transfer.Reference)
		}
	})
}

func printBooked(out io.Writer, body []byte) error {
	var transfer manage.Transfer
	if err := json.Unmarshal(body, &transfer); err != nil {
		return unreadable(err)
	}
	_, err := fmt.Fprintf(out, "Booked: %s %s from %s to %s (transfer %d)\n",
		phone.FormatAmount(transfer.Amount), printable(transfer.Currency), printable(transfer.From), printable(transfer.To), transfer.ID)
	return err
}

// printable is a text from the network for the terminal: what could move its cursor or
// set its title becomes a question mark.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != '\n' {
			return '?'
		}
		return r
	}, text)
}

func unreadable(err error) error {
	return fmt.Errorf("the bank's answer can't be read: %w", err)
}
