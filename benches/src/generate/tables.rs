//! What requests are made of: data centres, agents, pages. All names and addresses are reserved for documentation.

/// A Cloudflare data centre as seen from the one origin.
#[derive(Debug)]
pub struct Colo {
    /// IATA code.
    pub code: &'static str,
    /// `EdgeColoID`.
    pub id: u64,
    /// Round trip to the origin in milliseconds.
    pub rtt_ms: u64,
    /// First three numbers of its addresses.
    pub network: &'static str,
}

const fn colo(code: &'static str, id: u64, rtt_ms: u64, network: &'static str) -> Colo {
    Colo { code, id, rtt_ms, network }
}

/// Data centres, near ones first; the last [`FAR`] are far away.
pub const COLOS: &[Colo] = &[
    colo("FRA", 36, 6, "172.70.240."),
    colo("AMS", 41, 11, "162.158.110."),
    colo("LHR", 18, 16, "172.69.43."),
    colo("CDG", 40, 13, "172.71.118."),
    colo("MAD", 66, 32, "188.114.111."),
    colo("WAW", 79, 21, "162.158.103."),
    colo("IAD", 7, 88, "172.68.70."),
    colo("ORD", 8, 103, "172.69.58."),
    colo("SJC", 4, 148, "162.159.121."),
    colo("LAX", 5, 151, "172.68.45."),
    colo("GRU", 56, 204, "104.23.170."),
    colo("BOM", 123, 124, "173.245.54."),
    colo("SIN", 35, 176, "172.71.210."),
    colo("NRT", 31, 231, "172.68.117."),
    colo("SYD", 28, 278, "162.158.2."),
    colo("JNB", 146, 172, "197.234.242."),
];

/// How many of [`COLOS`], from the end, lie far from the origin.
pub const FAR: u64 = 6;

/// A user agent with what Logpush says beside it.
#[derive(Debug)]
pub struct Agent {
    /// The header.
    pub text: &'static str,
    /// `ClientDeviceType`.
    pub device: &'static str,
    /// `ClientIPClass`.
    pub class: &'static str,
    /// `BotScoreSrc`.
    pub source: &'static str,
}

const fn person(text: &'static str, device: &'static str) -> Agent {
    Agent { text, device, class: "noRecord", source: "Machine Learning" }
}

const fn robot(text: &'static str) -> Agent {
    Agent { text, device: "desktop", class: "searchEngine", source: "Verified Bot" }
}

/// Agents of ordinary visitors; frequent ones stand several times.
pub const AGENTS: &[Agent] = &[
    person("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36", "desktop"),
    person(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        "desktop",
    ),
    person(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
        "desktop",
    ),
    person(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
        "mobile",
    ),
    person(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 399.0.0.21.78 (iPhone16,2; iOS 18_6_2; de_DE; de; scale=3.00; 1290x2796; IABMV/1; 782101532)",
        "mobile",
    ),
    person(
        "Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
        "mobile",
    ),
    person(
        "Mozilla/5.0 (Linux; Android 15; SM-S931B Build/AP3A.240905.015.A2; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/141.0.7390.122 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/532.0.0.55.71;IABMV/1;]",
        "mobile",
    ),
    person("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "desktop"),
    person("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0", "desktop"),
    person(
        "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
        "tablet",
    ),
    person("ShopApp/7.3.1 (iOS 18.6; iPhone16,2)", "mobile"),
    robot(
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/141.0.0.0 Safari/537.36",
    ),
    robot("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.3; +https://openai.com/gptbot)"),
    robot(
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/141.0.0.0 Safari/537.36",
    ),
];

/// Agents that the origin drops with 444.
pub const SCRAPERS: &[Agent] = &[
    Agent { text: "python-requests/2.32.5", device: "desktop", class: "noRecord", source: "Heuristics" },
    Agent { text: "Scrapy/2.13.3 (+https://scrapy.org)", device: "desktop", class: "noRecord", source: "Heuristics" },
];

/// The agent of the far devices that report rarely.
pub const DEVICE: Agent = Agent { text: "sensor-fw/4.12 (esp32s3)", device: "desktop", class: "noRecord", source: "Heuristics" };

/// A place that visitors come from: country, city, network, languages.
#[derive(Debug)]
pub struct Origin {
    /// Two letters, lower case as in Logpush.
    pub country: &'static str,
    /// Name.
    pub city: &'static str,
    /// Autonomous system.
    pub asn: u64,
    /// `Accept-Language`.
    pub language: &'static str,
}

const fn from(country: &'static str, city: &'static str, asn: u64, language: &'static str) -> Origin {
    Origin { country, city, asn, language }
}

/// Where visitors come from.
pub const ORIGINS: &[Origin] = &[
    from("de", "Frankfurt am Main", 3320, "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"),
    from("at", "Vienna", 8447, "de-AT,de;q=0.9,en;q=0.8"),
    from("gb", "London", 5089, "en-GB,en;q=0.9"),
    from("be", "Brussels", 5432, "nl-BE,nl;q=0.9,fr-BE;q=0.8,fr;q=0.7,en;q=0.6"),
    from("fr", "Paris", 3215, "fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7"),
    from("es", "Madrid", 3352, "es-ES,es;q=0.9,en;q=0.8"),
    from("pl", "Warsaw", 5617, "pl-PL,pl;q=0.9,en-US;q=0.8,en;q=0.7"),
    from("ie", "Dublin", 5466, "en-IE,en;q=0.9"),
    from("us", "Ashburn", 7922, "en-US,en;q=0.9"),
    from("ca", "Montreal", 577, "fr-CA,fr;q=0.9,en-CA;q=0.8,en;q=0.7"),
    from("br", "S\u{e3}o Paulo", 28573, "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7"),
    from("in", "Mumbai", 55836, "en-IN,en;q=0.9,hi;q=0.8"),
    from("sg", "Singapore", 9506, "en-SG,en;q=0.9,zh-CN;q=0.8,zh;q=0.7"),
    from("jp", "Tokyo", 2516, "ja-JP,ja;q=0.9"),
    from("au", "Sydney", 1221, "en-AU,en;q=0.9"),
    from("za", "Johannesburg", 3741, "en-ZA,en;q=0.9"),
];

/// `Referer` of ordinary visits; empty ones are frequent.
pub const REFERRERS: &[&str] = &[
    "",
    "",
    "https://www.google.com/",
    "https://www.example.com/",
    "https://www.example.com/category/shoes?page=1",
    "https://www.example.com/search?q=rain%20jacket&sort=price_asc",
    "https://www.bing.com/",
];

/// Words of categories and searches.
pub const GOODS: &[&str] = &["shoes", "jacket", "lamp", "rug", "backpack", "kettle", "desk-chair", "bicycle-pump", "headphones", "mirror"];

/// Titles of articles.
pub const ARTICLES: &[&str] =
    &["how-to-choose", "our-story", "behind-the-scenes", "news-42", "materials-we-trust", "ten-ways-to-wear-it", "sizes-explained"];

/// Static files by name and content type.
pub const STATIC: &[(&str, &str)] = &[
    ("/static/app.js", "application/javascript"),
    ("/static/vendor.js", "application/javascript"),
    ("/static/site.css", "text/css"),
    ("/static/fonts/inter.woff2", "font/woff2"),
];
