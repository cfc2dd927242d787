//! scratch
use std::time::{Duration, Instant};
fn cpu() -> Duration {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = s.rsplit(')').next().unwrap_or_default();
    let f: Vec<u64> = rest.split_whitespace().skip(11).take(2).map(|x| x.parse().unwrap_or(0)).collect();
    Duration::from_millis((f.iter().sum::<u64>()) * 10)
}
fn main() {
    let level = apolo_runtime::telemetry::log::LogLevel { log_level: tracing::level_filters::LevelFilter::INFO };
    let w = apolo_runtime::telemetry::log::start(&level);
    let n: u64 = 400_000;
    for gap in [0u64, 10, 50] {
        let (t, c) = (Instant::now(), cpu());
        let mut i = 0u64;
        let n = if gap == 0 { n } else { n / 4 };
        while i < n {
            tracing::info!(
                uid = "0a1b2c3d-1111-2222-3333-444455556666",
                namespace = "team-a",
                pod = "trainer-7c9f",
                user = "system:serviceaccount:kube-system:job-controller",
                verdict = "allowed",
                secrets = 3u64,
                operations = 16u64,
                micros = i,
                "the Pod was given its secrets"
            );
            i += 1;
            if gap > 0 {
                let until = Instant::now() + Duration::from_micros(gap);
                while Instant::now() < until {
                    std::hint::spin_loop()
                }
            }
        }
        let total = cpu() - c;
        let spin = Duration::from_micros(gap * n);
        eprintln!(
            "gap {gap} us: wall {:.2} us cpu {:.2} us per line",
            (t.elapsed().as_nanos() as f64 / n as f64 - gap as f64 * 1000.0) / 1000.0,
            (total.saturating_sub(spin)).as_nanos() as f64 / n as f64 / 1000.0
        );
    }
    // paced: sleeps between, so the thread sleeps each time
    let c = cpu();
    for i in 0..20_000u64 {
        tracing::info!(
            uid = "0a1b2c3d-1111-2222-3333-444455556666",
            namespace = "team-a",
            pod = "trainer-7c9f",
            user = "system:serviceaccount:kube-system:job-controller",
            verdict = "allowed",
            secrets = 3u64,
            operations = 16u64,
            micros = i,
            "the Pod was given its secrets"
        );
        std::thread::sleep(Duration::from_micros(100));
    }
    let with = cpu() - c;
    let c = cpu();
    for _ in 0..20_000u64 {
        std::thread::sleep(Duration::from_micros(100));
    }
    let without = cpu() - c;
    eprintln!("paced: cpu {:.2} us per line", (with.saturating_sub(without)).as_nanos() as f64 / 20_000.0 / 1000.0);
    drop(w);
}
