//! temporary
use crate::api_house::*;
use shopfloor::time::*;
use collector::log::{Batch, NewBlock};
#[tokio::test(flavor = "multi_thread")]
async fn perf() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    // 8 units
    let base = agent.map.tags.clone();
    agent.map.tags.clear();
    agent.map.groups = Vec::new();
    for u in 1..=8u16 {
        let g0 = agent.map.groups.len() as u16;
        for _ in 0..2 { agent.map.groups.push(shopfloor::register_map::GroupEntry{source:0, kind: shopfloor::register_map::GroupKind::Scan{interval:10*SECOND}, stale_after: 30*SECOND}); }
        for t in &base { let mut t=t.clone(); t.name=format!("u{u}/{}", t.name.tag()).parse().unwrap(); t.group=g0+t.group; agent.map.tags.push(t); }
    }
    let mut plant = String::from("schema = 1\n[site]\nid = \"xinchang\"\nname = \"x\"\ntime_zone = \"Asia/Shanghai\"\n[[calendar]]\nid = \"one\"\nname = \"x\"\n[[calendar.shift]]\nid = \"day\"\nname = \"d\"\nstart = \"08:00\"\nend = \"20:00\"\nweekdays = [\"mon\",\"tue\",\"wed\",\"thu\",\"fri\",\"sat\",\"sun\"]\n[[calendar.shift]]\nid = \"night\"\nname = \"d\"\nstart = \"20:00\"\nend = \"08:00\"\nweekdays = [\"mon\",\"tue\",\"wed\",\"thu\",\"fri\",\"sat\",\"sun\"]\n");
    for u in 1..=8 { plant += &format!("[[work_unit]]\nid = \"u{u}\"\nname = \"u\"\ncalendar = \"one\"\nstate_rule = \"running-bit\"\nmicro_stop = \"2min\"\n[work_unit.role]\nrunning = \"u{u}/running\"\nproduced = \"u{u}/produced\"\nscrap = \"u{u}/scrap\"\nenergy = \"u{u}/energy\"\n[[work_unit.binding]]\nagent = \"edge-01\"\n[work_unit.counter.energy]\nunit = \"kWh\"\n[[work_unit.ideal_cycle]]\nproduct = \"*\"\ntime = \"9s\"\n"); }
    let site = Site::start(folder.path(), &agent, MORNING.plus(24*HOUR), &plant).await;
    let doc = collector::log::NewDocument::new(collector::log::DocumentKind::RegisterMap, agent.map.encode());
    let _ = doc;
    site.deliver(&agent, &[]).await;
    use std::time::Instant;
    let t=Instant::now();
    let mut batch = Batch::default();
    let mut prev = shopfloor::hash::Hash::ZERO;
    for b in 0..8640i64 {
        let start = MORNING.plus(b*10*SECOND);
        let mut groups=Vec::new();
        for u in 0..8u16 { 
            let tick = [u64::from(b%100<80), (b*80/100) as u64, (b/20) as u64, b as u64];
            let col=|t:u16| shopfloor::wire::section::ScanColumn{tag:u*4+t, values: vec![shopfloor::wire::section::Raw::Bits(tick[t as usize])], exceptions: vec![]};
            groups.push(shopfloor::wire::section::Group::Scan(shopfloor::wire::section::ScanGroup{group:u*2, request: vec![start.as_nanos()], response: vec![start.as_nanos()], columns: vec![col(0)]}));
            groups.push(shopfloor::wire::section::Group::Scan(shopfloor::wire::section::ScanGroup{group:u*2+1, request: vec![start.as_nanos()], response: vec![start.as_nanos()], columns: vec![col(1),col(2),col(3)]}));
        }
        let m = minute(&mut agent, 0); let mut h=m.header; h.sequence=b as u64+1; h.window=Interval{start, end:start.plus(10*SECOND)}; h.prev_block_hash=prev; h.config_hash=agent.map.hash();
        let s = shopfloor::wire::block::seal(h, &[(shopfloor::wire::header::SectionName::kpi(), groups)], &agent.key).unwrap();
        prev=s.hash;
        batch.blocks.push(NewBlock{header:s.header, hash:s.hash, bytes:s.bytes});
    }
    println!("made {:?}", t.elapsed());
    let t=Instant::now();
    site.store.log.append(MORNING.plus(24*HOUR), &batch).unwrap();
    println!("append {:?}", t.elapsed());
    for (what, path) in [("unit day cold","/api/v1/sites/xinchang/work-units/u1/windows?kind=day&from=2026-11-25&to=2026-11-26"),("unit day u1 again","/api/v1/sites/xinchang/work-units/u1/windows?kind=day&from=2026-11-25&to=2026-11-26"),("u2 day","/api/v1/sites/xinchang/work-units/u2/windows?kind=day&from=2026-11-25&to=2026-11-26"),("units","/api/v1/sites/xinchang/work-units"),("hours","/api/v1/sites/xinchang/work-units/u3/windows?kind=hour&from=2026-11-25&to=2026-11-26"), ("timeline","/api/v1/sites/xinchang/work-units/u4/timeline?from=2026-11-25&to=2026-11-26")] {
        let t=Instant::now();
        site.get(path).await;
        println!("{what}: {:?}", t.elapsed());
    }
    site.stop().await;
}
