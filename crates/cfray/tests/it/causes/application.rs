//! The application fails: app-fatal, plugin-fault.

use super::processes::FASTCGI;
use super::site::{Kind, Row, Site, Wire};

const OWN: &str = "PHP Fatal error:  Uncaught TypeError: number_format(): Argument #1 ($num) must be of type float, string given in \
    /var/www/shop/lib/cart.php:88";
const PLUGIN: &str = "PHP Fatal error:  Uncaught Error: Call to undefined function wc_get_shipping_zone() in \
    /var/www/wp-content/plugins/acme-shipping/includes/rates.php:41";
const MEMORY: &str = "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in \
    /var/www/wp-content/plugins/acme-gallery/render.php on line 12";

fn end(site: &mut Site, row: Row, wire: Wire) -> String {
    let ray = row.ray();
    match wire {
        Wire::Closed => site.answered(row, 444, 0),
        Wire::Valid(s) => site.answered(row, s, 0),
    }
    ray
}

/// A fatal error goes to nginx's error log by FastCGI stderr.
fn fatals(site: &mut Site, wire: Wire, text: &str) -> Vec<String> {
    (0..9)
        .map(|i| {
            let row = site.request(7_000 + i * 8_900).asking("POST", &format!("/cart/checkout?step={i}")).ended(wire);
            let text = format!(
                "FastCGI sent in stderr: \"PHP message: {text}\nStack trace:\n#0 /var/www/shop/public/index.php(17): run()\n#1 {{main}}\n  thrown\" while reading response header from upstream"
            );
            site.nginx_about(row.end() - 5, "error", &text, &row, FASTCGI);
            end(site, row, wire)
        })
        .collect()
}

/// The same into PHP's own log, which names no request.
fn fatals_apart(site: &mut Site, wire: Wire) -> Vec<String> {
    (0..9)
        .map(|i| {
            let row = site.request(7_000 + i * 8_900).asking("POST", &format!("/cart/checkout?step={i}")).ended(wire);
            let time = super::site::stamp(row.end() - 5, "%d-%b-%Y %H:%M:%S UTC");
            site.log(
                "php/php_errors.log",
                row.end() - 5,
                format!("[{time}] {OWN}\nStack trace:\n#0 {{main}}\n  thrown in /var/www/shop/lib/cart.php on line 88"),
            );
            end(site, row, wire)
        })
        .collect()
}

/// Two pages fail, now and then in the same second, each over a fault of its own.
fn two_pages(site: &mut Site, plugin: &str) -> (Vec<String>, Vec<String>) {
    let (mut carts, mut rates) = (Vec::new(), Vec::new());
    for i in 0..18 {
        for (page, text, rays, alone) in [("/rates/{}/quote", plugin, &mut rates, 1), ("/cart/{}/checkout", OWN, &mut carts, 0)] {
            if i % 3 != 2 && i % 3 != alone {
                continue;
            }
            let row = site.request(5_000 + i * 4_600).asking("POST", &page.replace("{}", &(40 + i).to_string())).ended(Wire::Closed);
            let time = super::site::stamp(row.end() - 5, "%d-%b-%Y %H:%M:%S UTC");
            let text = format!("[{time}] {text}\nStack trace:\n#0 {{main}}\n  thrown in /var/www/x.php on line 88");
            site.log("php/php_errors.log", row.end() - 5, text);
            rays.push(end(site, row, Wire::Closed));
        }
    }
    (carts, rates)
}

#[test]
fn two_pages_with_a_fault_each() {
    let mut site = Site::new(Kind::Nginx);
    let (carts, rates) = two_pages(&mut site, PLUGIN);
    let report = site.report();
    report.proves(&carts, "app-fatal", &["request", "window"], "/var/www/shop/lib/cart.php");
    report.proves(&rates, "plugin-fault", &["request", "window"], "/plugins/acme-shipping/");
}

#[test]
fn app_fatal() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = fatals(&mut site, Wire::Closed, OWN);
    site.report().proves(&rays, "app-fatal", &["ray"], "Uncaught TypeError: number_format()");
}

#[test]
fn app_fatal_near() {
    let mut site = Site::new(Kind::NginxRay);
    let answered = fatals(&mut site, Wire::Valid(500), OWN);
    let strangers = site.strangers(8);
    let closed = site.closed_strangers(8);
    site.report().leaves_out(&answered).denies(&strangers, "app-fatal").denies(&closed, "app-fatal");
}

#[test]
fn app_fatal_in_a_log_of_its_own() {
    let mut site = Site::new(Kind::Nginx);
    let rays = fatals_apart(&mut site, Wire::Closed);
    site.report().proves(&rays, "app-fatal", &["request", "window"], "Uncaught TypeError: number_format()");
}

#[test]
fn app_fatal_in_a_log_of_its_own_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = fatals_apart(&mut site, Wire::Valid(500));
    let closed = site.closed_strangers(8);
    site.report().leaves_out(&answered).denies(&closed, "app-fatal");
}

#[test]
fn plugin_fault() {
    let mut site = Site::new(Kind::Nginx);
    let rays = fatals(&mut site, Wire::Closed, PLUGIN);
    let report = site.report();
    report.proves(&rays, "plugin-fault", &["request"], "wp-content/plugins/acme-shipping");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("the plugin acme-shipping")));
}

#[test]
fn plugin_fault_near() {
    let mut site = Site::new(Kind::Nginx);
    let answered = fatals(&mut site, Wire::Valid(500), PLUGIN);
    let strangers = site.strangers(8);
    let closed = site.closed_strangers(8);
    site.report().leaves_out(&answered).denies(&strangers, "plugin-fault").denies(&closed, "plugin-fault");
}

/// The plugin asked for the last bytes; who used the rest is not known.
#[test]
fn plugin_fault_by_memory_limit() {
    let mut site = Site::new(Kind::Nginx);
    let rays = fatals(&mut site, Wire::Closed, MEMORY);
    site.report().proves(&rays, "plugin-fault", &["request"], "Allowed memory size").second(&rays, "app-fatal");
}

/// Every fatal of PHP's own log has its valid 500; the closed requests of the same moments are a bot's.
#[test]
fn app_fatal_in_a_log_of_its_own_near_in_the_same_second() {
    let mut site = Site::new(Kind::Nginx);
    let answered = fatals_apart(&mut site, Wire::Valid(500));
    let closed: Vec<String> = (0..9)
        .map(|i| {
            let row = site.request(7_060 + i * 8_900).asking("GET", &format!("/p/{i}-offer")).ended(Wire::Closed).lasting(40);
            end(&mut site, row, Wire::Closed)
        })
        .collect();
    site.report().leaves_out(&answered).denies(&closed, "app-fatal");
}
