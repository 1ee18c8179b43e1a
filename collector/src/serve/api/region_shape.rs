//! Shapes of the region: clusters and sites with stage, online, networked in three states, coverage, and whom to call.

use serde::Serialize;
use utoipa::ToSchema;

use crate::evaluate::project::shape::{Figure, Range, Term};
use crate::evaluate::words::Reason;

/// How many machines are networked, in three states. There is no rate: what others say and what was seen here do not
/// add up to one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NetworkedShape {
    /// 已核验: registered as networked, and data arrive here.
    pub verified: u32,
    /// 已申报: somebody says so.
    pub declared: u32,
    /// 未联网.
    pub none: u32,
    /// All machines of the register.
    pub total: u32,
    /// The same in Chinese.
    #[schema(example = "10 已核验 / 20 已申报 / 0 未联网（共 30 台）")]
    pub zh: String,
    /// The same in English.
    pub en: String,
}

/// The definition of a figure of the region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IndicatorName {
    /// Id.
    pub id: String,
    /// Version.
    pub version: u32,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// The day that a figure of the region is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RegionWindow {
    /// First instant; null while no day has settled.
    pub from: Option<String>,
    /// First instant after.
    pub until: Option<String>,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// A production figure over many sites, or why it is not published.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RegionFigure {
    /// What it is.
    pub indicator: IndicatorName,
    /// Of which day.
    pub window: RegionWindow,
    /// The figure with its bounds; null where it is held back.
    pub figure: Option<Range>,
    /// Sites that contribute.
    pub sites: u64,
    /// Why it is held back.
    pub suppressed: Option<Reason>,
}

/// Projects at a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StageCount {
    /// Code of the stage.
    pub code: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Projects whose present stage it is.
    pub count: u64,
}

/// Projects of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClusterProjects {
    /// By stage, all stages in order.
    pub by_stage: Vec<StageCount>,
}

/// A cluster: 产业集群, 经开区 or 园区.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ClusterShape {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// What it is.
    pub kind: Term,
    /// Counties of its members.
    pub counties: Vec<String>,
    /// Its members today.
    pub sites: Vec<String>,
    /// Their registers together.
    pub networked: NetworkedShape,
    /// Their projects.
    pub projects: ClusterProjects,
    /// Production figures over its sites.
    pub figures: Vec<RegionFigure>,
}

/// All sites together.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AllSites {
    /// Production figures.
    pub figures: Vec<RegionFigure>,
}

/// A project of a site, by name.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SiteProject {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// Present stage; null before the first.
    pub stage: Option<Term>,
    /// What can be said about it.
    pub conclusion: Term,
}

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ContactShape {
    /// Name.
    pub name: String,
    /// Telephone.
    pub phone: Option<String>,
}

/// A site as the region sees it. No production figure of one site is here.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RegionSite {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// 统一社会信用代码.
    pub uscc: Option<String>,
    /// Industry.
    pub industry: Option<String>,
    /// County.
    pub county: Option<String>,
    /// Ids of its clusters today.
    pub clusters: Vec<String>,
    /// The furthest present stage of its projects; null without any.
    pub stage: Option<Term>,
    /// Its projects.
    pub projects: Vec<SiteProject>,
    /// `online`, `silent` or `never`.
    pub online: Term,
    /// End of its newest block.
    pub newest: Option<String>,
    /// Its register.
    pub networked: NetworkedShape,
    /// Share of the planned time of its last settled day that is known.
    pub coverage: Option<Figure>,
    /// That day.
    pub coverage_day: Option<String>,
    /// Whom to call.
    pub contact: Option<ContactShape>,
    /// Number of work units.
    pub work_units: u64,
    /// Whether its data are simulated.
    pub demo: bool,
}

/// The region.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RegionShape {
    /// When it was worked out.
    pub as_of: String,
    /// Fewest sites behind a published figure.
    pub minimum_sites: u64,
    /// Clusters.
    pub clusters: Vec<ClusterShape>,
    /// All sites together.
    pub all: AllSites,
    /// Sites.
    pub sites: Vec<RegionSite>,
}
