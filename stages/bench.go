package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/statefile"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/bench"
)

func benchCommand() *cobra.Command {
	var slugs, paths []string
	var seconds float64
	var asJSON bool
	var serve, dir string
	var keep bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure on this machine what the protection of each stage costs",
		Long: `Measure on this machine what the protection of each stage costs.

A server of its own is started, and each stage is compared with the API's handler without
the guard, over the same transport and over connections that stay open. Calls are made and
signed before the clock runs. The ratio is that of the calls a second, over 64 connections
at once, so that no processor waits; what is added is how much longer a call takes that is
made alone. Stages and the unguarded handler take turns, and medians are shown: that holds
on a busy machine as well, though nothing else should run for numbers that are to be kept.

With --json:

  {"calls": [{"stage", "path", "transport", "per_second", "ratio", "added_us"}],
   "bases": [{"handler", "path", "transport", "per_second", "call_us"}],
   "machine": {"os", "cpu", "cores", "go"}}

A base is the unguarded handler, or net/http alone with a fixed answer.

Where the stages have an attestation service, attestations of packages of 1, 10 and 100 MB
are measured as well, and where they have a mediator, what that adds to a refresh:

  {"attestations": [{"stage", "package_mb", "per_second", "took_us"}],
   "mediators": [{"stage", "direct_us", "added_us"}]}

Where calls lead through a gateway, a call through it is compared with the one that it makes
itself, and whole sign-ins are counted, from the pushed request to the answer to a first call:

  {"gateways": [{"stage", "call_us", "added_us", "sign_ins"}]}

Bare operations are measured in the same rounds: a verification and a signature of ECDSA on
P-256, and a MAC of HS256, in a server that does nothing else but answer. What a proof of the
sender adds to a call is compared with what its ECDSA operations alone add to the same call,
where the stage before that has no such proof is measured as well: the server is asked to carry
them out before it looks at the call. All of this is processor time of the server, at capacity.
The memory of such proofs is filled, too:

  {"operations": {"verify_us", "sign_us", "hs256_us"},
   "senders": [{"stage", "path", "against", "added_us", "operations_us", "factor"}],
   "proofs": {"number", "bytes_per", "mb"}}

With --keep the result is kept in the deployment, in place of the one before, and the admin UI
shows it on the page of the whole ladder.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if serve != "" {
				ctx, cancel := bench.UntilClosed(c.Context(), c.InOrStdin())
				defer cancel()
				return bench.Serve(ctx, serve, catalog.All(), c.OutOrStdout())
			}
			stages, err := measured(slugs)
			if err != nil {
				return err
			}
			for _, path := range paths {
				if !slices.Contains(bench.Paths(), path) {
					return fmt.Errorf("%s is not measured: the paths are %s", path, strings.Join(bench.Paths(), " and "))
				}
			}
			if seconds <= 0 || seconds > 600 {
				return fmt.Errorf("--seconds must be above 0 and at most 600")
			}
			var keepIn *deployment.Folder
			if keep { // before minutes are spent
				if keepIn, err = deployment.Open(dir, deployment.Admin); err != nil {
					return err
				}
			}
			result, err := runBench(c, stages, paths, time.Duration(seconds*float64(time.Second)))
			if err != nil {
				return err
			}
			if keep {
				if err := keepBench(keepIn, result); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), result)
			}
			return printBench(c.OutOrStdout(), result)
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&slugs, "stage", nil, "a stage to measure (repeatable; default: all that are built)")
	completingFlags(c, map[string]func() []string{"stage": stageNames})
	flags.StringArrayVar(&paths, "path", bench.Paths(), "a path to call (repeatable)")
	flags.Float64Var(&seconds, "seconds", 2, "how long to measure each stage at each path")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	dataFlag(c, &dir)
	flags.BoolVar(&keep, "keep", false, "keep the result in the deployment, for the admin UI to show")
	flags.StringVar(&serve, "serve", "", "be the server that is measured, with a deployment in this empty folder")
	_ = flags.MarkHidden("serve") // the flag is there
	return c
}

// measured are the stages with these names; none: all that are built.
func measured(slugs []string) (catalog.Set, error) {
	if len(slugs) == 0 {
		return catalog.All().Built(), nil
	}
	var stages catalog.Set
	for _, slug := range slugs {
		stage, err := builtStage(slug)
		if err != nil {
			return nil, err
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

// keepBench keeps a result where the admin UI finds it, with the time.
func keepBench(folder *deployment.Folder, result bench.Result) error {
	data, err := json.MarshalIndent(struct {
		Measured time.Time `json:"measured"`
		bench.Result
	}{time.Now().UTC().Truncate(time.Second), result}, "", "  ")
	if err != nil {
		return err
	}
	return statefile.Replace(folder.Path(deployment.BenchFile), data)
}

func runBench(c *cobra.Command, stages catalog.Set, paths []string, duration time.Duration) (result bench.Result, err error) {
	dir, err := os.MkdirTemp("", "keyladder-bench-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return result, err
	}
	told := c.ErrOrStderr()
	var begin time.Time
	fmt.Fprintln(told, "starting the server that is measured")
	return bench.Measure(c.Context(), bench.Options{
		Stages: stages, Paths: paths, Duration: duration, Dir: dir,
		Server: exec.CommandContext(c.Context(), self, "bench", "--serve", dir),
		Progress: func(round, rounds int) {
			if round == 0 {
				begin = time.Now()
				return
			}
			left := time.Since(begin) / time.Duration(round) * time.Duration(rounds-round)
			fmt.Fprintf(told, "[%d/%d] rounds, about %d s left\n", round, rounds, int(left.Seconds()+0.5))
		},
	})
}

func printBench(out io.Writer, r bench.Result) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "path\tover\tstage\tcalls/s\tratio\tadded µs\t")
	for _, path := range bench.Paths() {
		var over catalog.Transport
		for _, base := range r.Bases {
			if base.Path == path && base.Handler == bench.NetHTTP {
				fmt.Fprintf(table, "%s\t%s\t(%s)\t%.0f\t\t\t\n", path, base.Transport, base.Handler, base.PerSecond)
			}
		}
		for _, call := range r.Calls {
			if call.Path != path {
				continue
			}
			if call.Transport != over {
				over = call.Transport
				i := slices.IndexFunc(r.Bases, func(b bench.Base) bool {
					return b.Path == path && b.Transport == over && b.Handler == bench.Unguarded
				})
				fmt.Fprintf(table, "%s\t%s\t(%s)\t%.0f\t1\t\t\n", path, over, bench.Unguarded, r.Bases[i].PerSecond)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\t%.2f\t%.0f\t\n", path, over, call.Stage, call.PerSecond, call.Ratio, call.AddedUS)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printTokens(out, r); err != nil {
		return err
	}
	if err := printOperations(out, r); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d cores, %s, %s, %s\n", r.Machine.Cores, r.Machine.CPU, r.Machine.OS, r.Machine.Go)
	return err
}

// printTokens prints what it costs to get tokens.
func printTokens(out io.Writer, r bench.Result) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Attestations) > 0 {
		fmt.Fprintln(table, "\nattestation at\tpackage MB\tper second\tone alone µs\t")
	}
	for _, a := range r.Attestations {
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t\n", a.Stage, a.PackageMB, a.PerSecond, a.TookUS)
	}
	if len(r.Mediators) > 0 {
		fmt.Fprintln(table, "\nrefresh at\tdirect µs\tadded by the mediator µs\t")
	}
	for _, m := range r.Mediators {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t\n", m.Stage, m.DirectUS, m.AddedUS)
	}
	if len(r.Gateways) > 0 {
		fmt.Fprintln(table, "\ngateway at\tcall µs\tof which the gateway's µs\tsign-ins/s\t")
	}
	for _, g := range r.Gateways {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.1f\t\n", g.Stage, g.CallUS, g.AddedUS, g.SignIns)
	}
	return table.Flush()
}

// printOperations prints bare operations, and what is measured against them.
func printOperations(out io.Writer, r bench.Result) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nbare operation\tprocessor µs\t")
	fmt.Fprintf(table, "P-256 verify\t%.1f\t\nP-256 sign\t%.1f\t\nHS256\t%.2f\t\n", r.Operations.VerifyUS, r.Operations.SignUS, r.Operations.HS256US)
	if len(r.Senders) > 0 {
		fmt.Fprintln(table, "\nproof of the sender at\tpath\tagainst\tadded processor µs\tits operations µs\tfactor\t")
	}
	for _, s := range r.Senders {
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\t%.0f\t%.2f\t\n", s.Stage, s.Path, s.Against, s.AddedUS, s.OperationsUS, s.Factor)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if r.Proofs != nil {
		_, err := fmt.Fprintf(out, "A full memory has %d proofs, of %.1f bytes each: %.1f MB.\n", r.Proofs.Number, r.Proofs.BytesPer, r.Proofs.MB)
		return err
	}
	return nil
}
