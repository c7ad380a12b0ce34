//! A label's plots as SVG. Colours are fixed here and exchanged for the reader's by the page's style sheet.

use plotters::chart::ChartContext;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::EvaluationError;
use crate::curves::{CurvePoint, ReliabilityBin, ScoreHistogram};

const SIZE: (u32, u32) = (400, 280);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
const FAINT: RGBColor = RGBColor(0x99, 0x99, 0x99);
/// Precision, texts with the label, what is true.
const FIRST: RGBColor = RGBColor(0x2F, 0x6D, 0xB3);
/// Recall, texts without the label.
const SECOND: RGBColor = RGBColor(0xC8, 0x60, 0x2A);

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Claimed scores against the share that is true, on the diagonal where they agree; larger dots stand for
/// more texts.
pub(crate) fn reliability(bins: &[ReliabilityBin]) -> Result<String, EvaluationError> {
    let items: usize = bins.iter().map(|bin| bin.items).sum();
    let radius = |bin: &ReliabilityBin| (3.0 + 12.0 * (bin.items as f64 / items.max(1) as f64).sqrt()) as i32;
    plot("Reliability diagram", ("mean score", "share that has the label"), 1.0, |chart| {
        chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], FAINT))?;
        let points = || bins.iter().map(|bin| (bin.mean_score, bin.positives));
        chart.draw_series(LineSeries::new(points(), FIRST.stroke_width(2)))?;
        chart.draw_series(
            bins.iter().zip(points()).map(|(bin, at)| Circle::new(at, radius(bin), FIRST.mix(0.5).filled())),
        )?;
        Ok(())
    })
}

/// How the scores of each class are spread, as shares of the class.
pub(crate) fn histogram(histogram: &ScoreHistogram) -> Result<String, EvaluationError> {
    let shares = |counts: &[usize]| {
        let all = counts.iter().sum::<usize>().max(1) as f64;
        counts.iter().map(|count| *count as f64 / all).collect::<Vec<_>>()
    };
    let (with, without) = (shares(&histogram.with), shares(&histogram.without));
    let highest = with.iter().chain(&without).copied().fold(0.0, f64::max);
    let width = 1.0 / with.len() as f64;
    // The bars of a cell stand side by side.
    let bars = |shares: Vec<f64>, colour: RGBColor, side: f64| {
        shares.into_iter().enumerate().map(move |(cell, share)| {
            let left = (cell as f64 + side) * width;
            Rectangle::new([(left, 0.0), (left + width * 0.42, share)], colour.filled())
        })
    };
    let top = (highest * 10.0).ceil().max(1.0) / 10.0;
    plot("Score histogram", ("score", "share of the class"), top, |chart| {
        chart.draw_series(bars(without, SECOND, 0.08))?;
        chart.draw_series(bars(with, FIRST, 0.5))?;
        Ok(())
    })
}

/// Precision and recall at every threshold; the upright lines are the review and remove thresholds.
pub(crate) fn thresholds(curve: &[CurvePoint], marks: [f32; 2]) -> Result<String, EvaluationError> {
    let line = |value: fn(&CurvePoint) -> Option<f64>| {
        curve.iter().filter_map(move |point| Some((f64::from(point.threshold), value(point)?)))
    };
    plot("Threshold curve", ("threshold", "precision, recall"), 1.0, |chart| {
        for mark in marks.map(f64::from) {
            chart.draw_series(LineSeries::new([(mark, 0.0), (mark, 1.0)], FAINT))?;
        }
        chart.draw_series(LineSeries::new(line(|point| point.recall), SECOND.stroke_width(2)))?;
        chart.draw_series(LineSeries::new(line(|point| point.precision), FIRST.stroke_width(2)))?;
        Ok(())
    })
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// Axes from 0 to 1 and from 0 to `top`, with what `draw` adds.
fn plot(
    title: &str,
    (x, y): (&str, &str),
    top: f64,
    draw: impl for<'a, 'b> FnOnce(&mut Chart<'a, 'b>) -> Drawn<'b>,
) -> Result<String, EvaluationError> {
    let mut svg = String::new();
    drawn(&mut svg, (x, y), top, draw).map_err(|error| EvaluationError::Page(format!("{title}: {error}")))?;
    // The heading is our own words: nothing in it needs escaping.
    Ok(svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{title}\" "), 1))
}

fn drawn<'b>(
    svg: &'b mut String,
    (x, y): (&str, &str),
    top: f64,
    draw: impl for<'a> FnOnce(&mut Chart<'a, 'b>) -> Drawn<'b>,
) -> Drawn<'b> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..1.0, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_labels(6)
        .y_labels(6)
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    draw(&mut chart)?;
    drop(chart);
    area.present()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves;

    const JUDGED: [(f32, bool); 4] = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];

    #[test]
    fn every_plot_is_a_whole_svg_with_its_marks() {
        let plots = [
            (reliability(&curves::reliability(&JUDGED)), "<circle", 4),
            (histogram(&ScoreHistogram::of(&JUDGED)), "fill=\"#2F6DB3\"", 20),
            (thresholds(&curves::threshold_curve(&JUDGED), [0.5, 0.95]), "stroke=\"#999999\"", 2),
        ];
        for (svg, mark, times) in plots {
            let svg = svg.expect("draws");
            assert!(svg.starts_with("<svg role=\"img\" aria-label=\"") && svg.trim_end().ends_with("</svg>"));
            assert_eq!(svg.matches(mark).count(), times, "{mark} in {svg}");
        }
    }

    #[test]
    fn nothing_to_show_is_an_empty_plot() {
        assert!(reliability(&[]).is_ok());
        assert!(histogram(&ScoreHistogram::of(&[])).is_ok());
        assert!(thresholds(&curves::threshold_curve(&[]), [0.5, 0.95]).is_ok());
    }
}
