//! `gen-logs`: writes a log set of any size with known truth.

use cfray_benches::generate::{Layout, Plan, Spec, write_set};
use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Writes Cloudflare Logpush rows, the origin's logs and the truth about every 520.
///
/// DIR/logs/cloudflare/, DIR/logs/nginx/, DIR/logs/php/ and DIR/truth.csv. Equal arguments give equal bytes.
#[derive(Parser, Debug)]
struct Args {
    /// Edge rows.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Compress the Cloudflare files with gzip.
    #[arg(long)]
    gzip: bool,
    /// Rows in one Cloudflare file.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows_per_file: u64,
    /// Write the Cloudflare rows to standard output instead of files.
    #[arg(long, conflicts_with = "gzip")]
    pipe: bool,
    /// Make every row a 520.
    #[arg(long)]
    storm: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the rows had enough of them.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "gen-logs: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Args) -> io::Result<()> {
    let begin = Instant::now();
    let plan = Plan::new(Spec { rows: args.rows, seed: args.seed, storm: args.storm });
    let layout = Layout { out: args.out, gzip: args.gzip, rows_per_file: args.rows_per_file, pipe: args.pipe };
    let written = write_set(&plan, &layout, &mut io::stdout().lock())?;
    let seconds = begin.elapsed().as_secs_f64();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    writeln!(
        io::stderr(),
        "{} rows, {} with 520; {:.0} MB of Cloudflare rows, {:.0} MB of origin logs; {seconds:.1} s, {:.0} MB/s",
        plan.spec.rows,
        written.failing,
        mb(written.edge),
        mb(written.origin),
        mb(written.edge + written.origin) / seconds
    )
}
